"""python-gitlab, which puts its key into Private-Token and escapes slashes."""

import gitlab

from compat import main


def program(base, key, direct):
    gl = gitlab.Gitlab(base, private_token=key, per_page=1)
    project = gl.projects.get("group/project")
    try:
        gl.projects.get("group/missing")
        missing = 0
    except gitlab.exceptions.GitlabGetError as e:
        missing = e.response_code
    return {
        "project": project.path_with_namespace,
        "issues": [issue.title for issue in project.issues.list(iterator=True)],
        "file": project.files.get(file_path="docs/a.md", ref="main").decode().decode(),
        "made": project.issues.create({"title": "made"}).title,
        "missing": missing,
    }


main(program)
