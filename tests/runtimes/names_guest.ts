import * as client from "../../mod.ts";

// The client alone, as an isolate imports it.
Object.assign(globalThis, { names: Object.keys(client).sort() });
