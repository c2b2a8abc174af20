// Octokit: an own base URL, paging by Link, escaped slashes, a query parameter
// that is called as keys are.
import { Octokit } from "@octokit/rest";
import { main } from "./compat.mjs";

await main(async (base, key) => {
  const octokit = new Octokit({ auth: key, baseUrl: base, log: { debug() {}, info() {}, warn() {}, error() {} } });
  const at = { owner: "acme", repo: "site" };
  const repo = await octokit.rest.repos.get(at);
  const issues = await octokit.paginate(octokit.rest.issues.listForRepo, { ...at, per_page: 1 });
  const made = await octokit.rest.issues.create({ ...at, title: "Broken", body: "so & so" });
  const file = await octokit.rest.repos.getContent({ ...at, path: "docs/a.md" });
  let refused = 0;
  try {
    await octokit.rest.repos.get({ owner: "acme", repo: "unknown" });
  } catch (e) {
    refused = e.status;
  }
  let redirected = false;
  try {
    await octokit.rest.repos.get({ owner: "acme", repo: "elsewhere" });
  } catch {
    redirected = true;
  }
  const deleted = await octokit.rest.actions.deleteActionsCacheByKey({ ...at, key: "linux" });
  return {
    repo: repo.data.full_name,
    issues: issues.map((issue) => issue.title),
    made: made.data.body,
    file: Buffer.from(file.data.content, "base64").toString(),
    deleted: deleted.data.actions_caches[0].key,
    refused,
    redirected,
  };
});
