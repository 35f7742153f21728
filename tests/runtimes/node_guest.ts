import { neonConfig } from "@neondatabase/serverless";
import { WebSocket } from "ws";
import { KINDS_OF_NODE } from "../client/kinds_of_node.ts";
import { serveStdio } from "./stdio_guest.ts";

// Node has a WebSocket of its own only from 22 on.
neonConfig.webSocketConstructor = WebSocket;
await serveStdio(KINDS_OF_NODE);
