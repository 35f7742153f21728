/** Version 7 has no types of its own; what tests use of it is as in 10. */
declare module "nodemailer-7" {
  export { default } from "nodemailer";
}
