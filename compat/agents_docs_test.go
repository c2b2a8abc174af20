package compat

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// documented returns the one block of docs/agents.md in a language, for the model and the
// login of these tests.
func documented(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "agents.md"))
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	require.Len(t, blocks, 1)
	block := blocks[0][1]
	require.LessOrEqual(t, strings.Count(block, "\n"), 10, "it is short")
	return strings.NewReplacer("gpt-5.6-terra", modeltest.DefaultModel, `"prod/crm"`, `"`+crmLogin+`"`).Replace(block)
}

// beside writes a program beside those of its language, whose libraries it finds there.
func beside(t *testing.T, folder, name, program string) string {
	t.Helper()
	f, err := os.CreateTemp(folder, name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.Remove(f.Name())) })
	_, err = f.WriteString(program)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return f.Name()
}

// TestBrowserUseLogsInWithTheDocumentedLinesInARuntime runs what docs/agents.md shows, with what it
// says is given.
func TestBrowserUseLogsInWithTheDocumentedLinesInARuntime(t *testing.T) {
	p := newAgentsPlace(t, func(turn modeltest.Turn) modeltest.Call {
		if strings.Contains(turn.Text, "Verify") {
			return modeltest.Say(`{"thinking":"","evaluation_previous_goal":"","memory":"","next_goal":"",` +
				`"action":[{"done":{"text":"The password was accepted.","success":true,"files_to_display":[]}}]}`)
		}
		// What the documented tool answers is the answer of page.fill.
		turn.Text = strings.ReplaceAll(turn.Text, `"filled":["username","password"]`, "filled ['username', 'password']")
		return browserUse(turn)
	})
	installed(t)
	block := "    " + strings.ReplaceAll(strings.TrimSpace(documented(t, "python")), "\n", "\n    ")
	block = strings.Replace(block, "await Agent(", "history = await Agent(", 1)
	program := "import asyncio, json, sys\nimport httpx\nfrom browser_use import Agent, Browser, ChatOpenAI, Tools\n" +
		"given = json.load(sys.stdin)\n" +
		"connect, model, execute, token = (given[k] for k in ('connect', 'model', 'execute', 'token'))\n" +
		"task = 'Log in at ' + given['site']\nasync def main():\n" + block +
		"\n    json.dump({'success': history.is_successful()}, sys.stdout)\nasyncio.run(main())\n"
	p.run(t, "agents/venv/bin/python", beside(t, "agents", "documented-*.py", program))
}

// TestStagehandLogsInWithTheDocumentedLinesInARuntime does the same.
func TestStagehandLogsInWithTheDocumentedLinesInARuntime(t *testing.T) {
	p := newAgentsPlace(t, stagehand)
	installed(t)
	program := `import { readFileSync } from "node:fs";
import { localBrowser, Stagehand as Real } from "@browserbasehq/stagehand";
import { address, host } from "./stagehand_host.mjs";
const { connect, model, execute, token, site } = JSON.parse(readFileSync(0, "utf8"));
const post = async (url, body) => {
  const headers = { authorization: "Bearer " + token, "content-type": "application/json" };
  const answer = await (await fetch(url, { method: "POST", headers, body: JSON.stringify(body) })).json();
  const error = answer.steps?.[0].error;
  if (error) throw new Error(error.code);
  return answer;
};
const textbox = (name) => ({ role: "textbox", name });
// The login is in front before the lines fill it.
const Stagehand = { create: async (options) => {
  const stagehand = await Real.create(options);
  const [page] = await options.browser.context.pages();
  await page.goto(site);
  await page.waitForSelector("input[type=password]");
  return stagehand;
} };
` + documented(t, "js") + `
const [page] = await browser.context.pages();
await page.waitForSelector("input[autocomplete=one-time-code]");
console.log(JSON.stringify({ success: true }));
process.exit(0);
`
	p.run(t, "js/node_modules/.bin/node", beside(t, "js", "documented-*.mjs", program))
}
