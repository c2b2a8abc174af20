"""PyGithub: an own base URL, paging by Link, escaped slashes."""

from github import Auth, Github, GithubException

from compat import main


def program(base, key, direct):
    hub = Github(auth=Auth.Token(key), base_url=base, retry=None, per_page=1)
    repo = hub.get_repo("acme/site")
    try:
        hub.get_repo("acme/unknown")
        refused = 0
    except GithubException as e:
        refused = e.status
    return {
        "repo": repo.full_name,
        "made": repo.create_issue("Broken", body="so & so").body,
        "file": repo.get_contents("docs/a.md").decoded_content.decode(),
        "refused": refused,
    }


main(program)
