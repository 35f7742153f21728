import { expect, test } from "bun:test";
import { join } from "node:path";
import { REPLY_RULES } from "../relay/smtp/outcome.ts";
import { OUTCOMES_PAGE, outcomesPage } from "../scripts/outcomes_page.ts";

test("docs/outcomes.md is what the tables say: run bun scripts/outcomes_page.ts after a change", async () => {
  expect(await Bun.file(join(import.meta.dir, "..", OUTCOMES_PAGE)).text()).toBe(outcomesPage());
});

test("the page has a row for every rule, and each table keeps its columns", () => {
  const page = outcomesPage();
  const rules = Object.values(REPLY_RULES).flat();
  const rows = page.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| ---"));
  expect(rules.length).toBeGreaterThan(60);
  for (const { because } of rules) expect(page).toContain(`| ${because} |`);
  let columns = 0;
  for (const line of page.split("\n")) {
    if (!line.startsWith("|")) columns = 0;
    else {
      const here = line.replaceAll("\\|", "").split("|").length;
      if (columns !== 0) expect({ line, here }).toEqual({ line, here: columns });
      columns = here;
    }
  }
  expect(rows.length).toBeGreaterThan(rules.length);
});

test("the page says what the policy does", () => {
  const page = outcomesPage();
  expect(page).toContain("| `deferred` | `deferred`; next attempt after 1 min, 5 min, 15 min, 30 min, 1 h, 2 h, 4 h");
  expect(page).toContain("| `uncertain` | `deferred`, for 5 min at least;");
  expect(page).toContain(
    "| the final dot is written | a break or a timeout (`closed`, `timeout`) | `uncertain` | network |",
  );
  expect(page).toContain("| the final dot is written | a reply from 400 on (421, 503) | `deferred` | route |");
});
