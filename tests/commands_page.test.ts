import { expect, test } from "bun:test";
import { join } from "node:path";
import { COMMANDS, COMMANDS_PAGE, commandsPage } from "../scripts/commands_page.ts";

test("docs/commands.md is what the commands say: run bun scripts/commands_page.ts after a change", async () => {
  expect(await Bun.file(join(import.meta.dir, "..", COMMANDS_PAGE)).text()).toBe(commandsPage());
});

test("every option in a recipe is one of its command, and every command has a place of its own", () => {
  const page = commandsPage();
  for (const { name } of COMMANDS) expect(page).toContain(`\n## ${name}\n\n\`\`\`\nmailchute ${name}`);
  const recipes = page.slice(page.indexOf("\n## A mail"), page.indexOf(`\n## ${COMMANDS[0]?.name}\n`));
  const lines = [...recipes.matchAll(/^(?:exec )?mailchute ([a-z]+) ([^#\n]*)/gm)];
  expect(lines.length).toBeGreaterThan(5);
  for (const [, name, rest = ""] of lines) {
    const options = Object.keys(COMMANDS.find((command) => command.name === name)?.options ?? {});
    for (const [, option] of rest.matchAll(/--([a-z-]+)/g)) expect(options).toContain(option as string);
  }
});
