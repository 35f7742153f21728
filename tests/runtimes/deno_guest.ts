import { KINDS_OF_NODE } from "../client/kinds_of_node.ts";
import { serveStdio } from "./stdio_guest.ts";

await serveStdio(KINDS_OF_NODE);
