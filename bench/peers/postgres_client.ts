// What an app bundles that talks to Postgres by itself.
export { default } from "postgres";
