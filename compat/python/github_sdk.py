"""PyGithub: an own base URL, paging by Link, escaped slashes."""

from github import Auth, Github, GithubException

from compat import main


def program(base, key, direct):
    hub = Github(auth=Auth.Token(key), base_url=base, per_page=1)
    repo = hub.get_repo("acme/site")
    try:
        hub.get_repo("acme/unknown")
        refused = 0
    except GithubException as e:
        refused = e.status
    try:
        hub.get_repo("acme/elsewhere")
        redirected = False
    except GithubException:
        redirected = True
    _, deleted = hub.requester.requestJsonAndCheck("DELETE", "/repos/acme/site/actions/caches", parameters={"key": "linux"})
    return {
        "repo": repo.full_name,
        "issues": [issue.title for issue in repo.get_issues()],
        "made": repo.create_issue("Broken", body="so & so").body,
        "file": repo.get_contents("docs/a.md").decoded_content.decode(),
        "deleted": deleted["actions_caches"][0]["key"],
        "refused": refused,
        "redirected": redirected,
    }


main(program)
