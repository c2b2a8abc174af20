// @gitbeaker/rest, which puts its key into Private-Token and escapes slashes.
import { Gitlab } from "@gitbeaker/rest";
import { main } from "./compat.mjs";

await main(async (base, key) => {
  const api = new Gitlab({ host: base, token: key });
  const project = await api.Projects.show("group/project");
  const issues = await api.Issues.all({ projectId: project.path_with_namespace, perPage: 1 });
  const file = await api.RepositoryFiles.show("group/project", "docs/a.md", "main");
  const made = await api.Issues.create("group/project", "made");
  let missing = 0;
  try {
    await api.Projects.show("group/missing");
  } catch (e) {
    missing = e.cause.response.status;
  }
  return {
    project: project.path_with_namespace,
    issues: issues.map((issue) => issue.title),
    file: Buffer.from(file.content, "base64").toString(),
    made: made.title,
    missing,
  };
});
