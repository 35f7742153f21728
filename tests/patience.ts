import { setDefaultTimeout } from "bun:test";

// Loaded before every test (bunfig.toml). A test ends by an event, so this is for one that hangs.
setDefaultTimeout(60_000);
