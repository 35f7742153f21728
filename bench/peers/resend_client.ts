// What an app bundles that sends by Resend's HTTP API.
export { Resend } from "resend";
