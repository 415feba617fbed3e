"""What starts by itself and applies: workflows, scripts, makefiles, crontabs; and what only looks like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import dedent, indent

import pytest

from interlock.facts.automation import Starter, Starters, starter_of_crontab, starter_of_installer, starter_of_workflow
from interlock.facts.cron import parse_crontab
from interlock.judge.automation import judge_no_automatic_apply
from interlock.observe.automation import TreeSources, find
from interlock.observe.tree import Tree
from interlock.verdicts import Broken, Held, Unproven

WORKFLOW = ".github/workflows/w.yml"


def write(root: Path, files: Mapping[str, str]) -> TreeSources:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(dedent(text))
    return TreeSources(Tree(root))


def workflow(run: str, *, on: str = "push", runs_on: str = "ubuntu-latest", job: str = "release", more: str = "") -> str:
    """A workflow with one job of one step."""
    return f"on: {on}\njobs:\n  {job}:\n    runs-on: {runs_on}\n{indent(dedent(more), '    ')}    steps:\n      - run: |\n{indent(dedent(run), ' ' * 10)}\n"


def starter(root: Path, text: str, **files: str) -> Starter:
    return starter_of_workflow(WORKFLOW, write(root, {WORKFLOW: text, **files}))


def applied(root: Path, run: str, files: Mapping[str, str] | None = None, **given: str) -> list[str]:
    """The commands that a push comes to, each with where it runs."""
    found = starter_of_workflow(WORKFLOW, write(root, {WORKFLOW: workflow(run, **given), **(files or {})}))
    return [f"{path.command} {path.where}".strip() for path in found.applies]


REMOTE = "docker compose up -d over ssh"


@pytest.mark.parametrize(
    "run",
    [
        "ssh deploy@host docker compose up -d",
        "ssh -i key -p 2222 -o StrictHostKeyChecking=no deploy@$HOST 'cd /srv/app && docker compose up -d'",
        "ssh host <<'EOF'\ncd /srv/app\ndocker compose up -d\nEOF",
        "ssh host bash -s <<EOF\ndocker compose up -d\nEOF",
        "echo 'docker compose up -d' | ssh host bash -s",
        "ssh host \"sudo -u app bash -c 'docker compose up -d'\"",
        "sshpass -p x ssh host 'docker compose up -d'",
        "if ! ssh host docker compose up -d; then exit 1; fi",
        'up() { ssh host "$@"; }\nup docker compose up -d',
        "COMPOSE='docker compose'\nssh host $COMPOSE up -d",
        "out=$(ssh host docker compose up -d)",
        "timeout 60 ssh host docker compose up -d || true",
        "cat <<EOF | ssh host\ndocker compose up -d\nEOF",
        "ssh host su - app -c \"'docker compose up -d'\"",
    ],
)
def test_a_compose_that_is_brought_up_over_ssh_applies(tmp_path: Path, run: str) -> None:
    assert applied(tmp_path, run) == [REMOTE]


@pytest.mark.parametrize(
    ("run", "files"),
    [
        ("./scripts/up.sh", {"scripts/up.sh": "#!/bin/sh\nssh host docker compose up -d\n"}),
        ("bash -eu scripts/up.sh", {"scripts/up.sh": "ssh host docker compose up -d\n"}),
        ("cd scripts && ./up.sh", {"scripts/up.sh": "ssh host docker compose up -d\n"}),
        ("source scripts/lib.sh\nrelease", {"scripts/lib.sh": "release() { ssh host docker compose up -d; }\n"}),
        ("make up", {"Makefile": "COMPOSE = docker compose\nup: pull\n\t@ssh host ${COMPOSE} up -d\npull:\n\tdocker compose pull\n"}),
        ("make -C ops", {"ops/Makefile": "all: up\nup:\n\tssh host docker compose up -d\n"}),
        ("npm run deploy", {"package.json": '{"scripts": {"deploy": "ssh host docker compose up -d"}}'}),
        ("./ctl up", {"ctl": '#!/usr/bin/env bash\ncase "$1" in\n  up) ssh host docker compose up -d ;;\n  status) ssh host docker restart app ;;\nesac\n'}),
        ("python3 scripts/up.py", {"scripts/up.py": "import subprocess\nsubprocess.run(['ssh', 'host', 'docker compose up -d'], check=True)\n"}),
        ("./a.sh", {"a.sh": "#!/bin/sh\n./b.sh\n", "b.sh": "#!/bin/sh\n./a.sh\nssh host docker compose up -d\n"}),
        ("ssh host 'cd /srv/app && ./scripts/up.sh'", {"scripts/up.sh": "#!/bin/sh\ndocker compose up -d\n"}),
        ('"$(dirname "$0")/../scripts/up.sh"', {"scripts/up.sh": "#!/bin/sh\nssh host docker compose up -d\n"}),
        ("export HOST=ssh://host\n./up.sh", {"up.sh": "#!/bin/sh\nssh ${HOST#*//} docker compose up -d\n"}),
        ("./up.sh", {"up.sh": "#!/bin/sh\ntrap 'ssh host docker compose up -d' EXIT\ntrue\n"}),
    ],
)
def test_calls_are_followed_through_scripts_makefiles_and_programs(tmp_path: Path, run: str, files: dict[str, str]) -> None:
    assert applied(tmp_path, run, files) == [REMOTE]


@pytest.mark.parametrize(
    "run",
    [
        "docker compose up -d",
        "docker -H ssh://host compose config",
        "docker compose up -d && ./test.sh && docker compose down -v",
        "ssh host docker ps",
        "ssh -N -L 5432:db:5432 host",
        "ssh host 'docker compose --dry-run up -d'",
        "kubectl get pods && kubectl rollout status deploy/app",
        "kubectl apply --dry-run=server -f k8s/",
        "helm lint chart && helm template chart && helm dependency build chart",
        "terraform plan -out plan",
        "ansible-playbook --check site.yml",
        "ansible-playbook -i localhost, -c local site.yml",
        "rsync -a host:/srv/data/ data/",
        "rsync -a site/ www@docs.example.org:/srv/docs/",
        "docker push registry/app && docker compose build",
        "mkdocs gh-deploy --force",
        "git push origin gh-pages",
        "echo 'ssh host docker compose up -d'",
        "cat > deploy.txt <<EOF\nssh host docker compose up -d\nEOF",
        "kind create cluster\nkubectl apply -f k8s/\nhelm install app chart",
        "helm install app chart --version 1.2.3 --dry-run",
        "curl -X POST https://hooks.slack.com/services/x -d deployed",
        "ssh host 'docker compose stop db && tar c /srv/db > db.tar && docker compose start db'",
    ],
)
def test_what_changes_no_running_system_is_no_apply(tmp_path: Path, run: str) -> None:
    assert applied(tmp_path, run) == []


@pytest.mark.parametrize(
    "run",
    [
        "docker --context prod compose up -d",
        "DOCKER_HOST=ssh://deploy@host docker compose up -d",
        "DOCKER_HOST=ssh://deploy@host ./up.sh",
        "export DOCKER_HOST=tcp://host:2376\ndocker restart app",
        "kubectl apply -f k8s/",
        "kubectl -n app set image deploy/app app=x",
        "helm upgrade --install app chart --version 1.2.3",
        "terraform -chdir=infra apply -auto-approve",
        "tofu apply plan",
        "ansible-playbook -i hosts site.yml",
        "ssh host systemctl restart app",
        "ssh host 'cd /srv/app && git pull'",
        "scp app.tar.gz deploy@host:/srv/app/",
        "interlock apply plan.json",
        "flyctl deploy --remote-only",
        'curl -fsS -X POST "${{ secrets.COOLIFY_DEPLOY_WEBHOOK }}"',
        "ssh host docker exec app alembic upgrade head",
        "git push dokku main",
    ],
)
def test_what_changes_a_running_system_is_an_apply(tmp_path: Path, run: str) -> None:
    assert len(applied(tmp_path, run, {"up.sh": "#!/bin/sh\ndocker compose up -d\n"})) == 1


def test_a_runner_of_ones_own_is_a_running_system(tmp_path: Path) -> None:
    assert applied(tmp_path, "docker compose up -d", runs_on="[self-hosted, linux]") == ["docker compose up -d on a runner of your own"]
    assert applied(tmp_path, "docker compose up -d", runs_on="rs2000") == ["docker compose up -d on a runner of your own"]


def test_a_test_on_a_runner_of_ones_own_is_none(tmp_path: Path) -> None:
    assert applied(tmp_path, "docker compose up -d\n./t.sh\ndocker compose down", runs_on="self-hosted") == []
    assert applied(tmp_path, "docker compose up -d\n./t.sh", runs_on="self-hosted", job="e2e-tests") == []


@pytest.mark.parametrize("run", ["docker run -d --name new app\ndocker rm -f old", "docker stop app && docker rm app\ndocker run -d --name app app"])
def test_a_container_that_is_replaced_on_a_runner_of_ones_own_is_a_release(tmp_path: Path, run: str) -> None:
    assert applied(tmp_path, run, runs_on="self-hosted")


def test_a_release_that_is_removed_beside_a_new_one_is_no_rehearsal(tmp_path: Path) -> None:
    run = "helm upgrade --install blue chart\nhelm uninstall green"
    assert applied(tmp_path, run) == ["helm upgrade --install blue chart", "helm uninstall green"]
    assert applied(tmp_path, "helm install it chart\n./t.sh\nhelm uninstall it", job="integration-test") == []


def test_what_calls_too_much_to_be_followed_is_unproven(tmp_path: Path) -> None:
    (found,) = starter(tmp_path, workflow("true\n" * 10_001, runs_on="self-hosted")).applies
    assert (found.kind, found.unseen.partition(" commands")[0]) == ("not-looked-into", "more than 10,000")


@pytest.mark.parametrize("label", ["ubuntu-24.04", "macos-14", "docker", "${{ matrix.os }}", "ubuntu-latest-8-cores", "blacksmith-4vcpu-ubuntu-2204"])
def test_runners_that_are_thrown_away_are_known_by_their_labels(tmp_path: Path, label: str) -> None:
    more = "strategy: {matrix: {os: [ubuntu-22.04, ubuntu-24.04]}}\n"
    assert applied(tmp_path, "docker compose up -d", runs_on=label, more=more) == []


# ---- what starts it

AUTOMATIC = [
    "push", "pull_request", "pull_request_target", "{schedule: [{cron: '0 3 * * *'}]}", "{push: {tags: ['v*']}}", "{release: {types: [published]}}",
    "{workflow_run: {workflows: [ci]}}", "repository_dispatch", "issue_comment", "merge_group", "registry_package", "[workflow_dispatch, push]",
]  # fmt: skip


@pytest.mark.parametrize("event", AUTOMATIC)
def test_every_event_but_a_humans_dispatch_is_automatic(tmp_path: Path, event: str) -> None:
    assert applied(tmp_path, "kubectl apply -f k8s/", on=event) == ["kubectl apply -f k8s/"]


def test_a_humans_dispatch_is_none(tmp_path: Path) -> None:
    found = starter(tmp_path, workflow("kubectl apply -f k8s/", on="workflow_dispatch"))
    assert (found.applies, found.by_hand) == ((), True)


@pytest.mark.parametrize(
    "condition",
    [
        "github.event_name == 'workflow_dispatch'",
        "${{ github.event_name == 'workflow_dispatch' && inputs.env == 'prod' }}",
        "always() && github.event_name == 'workflow_dispatch'",
        "inputs.deploy == true",
        "github.event.inputs.deploy",
        "false",
    ],
)
def test_a_condition_that_leaves_the_human_alone_counts(tmp_path: Path, condition: str) -> None:
    event = "{push: {}, workflow_dispatch: {}}"
    assert applied(tmp_path, "kubectl apply -f k8s/", on=event, more=f"if: {condition}\n") == []


@pytest.mark.parametrize(
    "condition", ["github.ref == 'refs/heads/main'", "github.event_name != 'pull_request'", "success()", "github.event_name == 'push' || inputs.x"]
)
def test_a_condition_that_can_hold_does_not(tmp_path: Path, condition: str) -> None:
    assert applied(tmp_path, "kubectl apply -f k8s/", more=f"if: {condition}\n") == ["kubectl apply -f k8s/"]


def test_a_job_that_needs_one_that_is_skipped_is_skipped_with_it(tmp_path: Path) -> None:
    text = """\
    on: [push, workflow_dispatch]
    jobs:
      ask:
        if: github.event_name == 'workflow_dispatch'
        runs-on: ubuntu-latest
        steps: [{run: 'true'}]
      release:
        needs: ask
        IF
        runs-on: ubuntu-latest
        steps: [{run: kubectl apply -f k8s/}]
    """
    assert starter(tmp_path, text.replace("IF", "name: x")).applies == ()
    assert len(starter(tmp_path, text.replace("IF", "if: always()")).applies) == 1


REUSABLE = """\
on:
  workflow_call:
    inputs: {env: {type: string}}
jobs:
  go:
    runs-on: ubuntu-latest
    steps:
      - name: Go
        run: kubectl apply -f k8s/
"""


def test_a_reusable_workflow_is_judged_where_it_is_called(tmp_path: Path) -> None:
    sources = write(tmp_path, {WORKFLOW: "on: push\njobs:\n  call:\n    uses: ./.github/workflows/r.yml\n", ".github/workflows/r.yml": REUSABLE})
    (found,) = starter_of_workflow(WORKFLOW, sources).applies
    assert found.told == f'push → {WORKFLOW}: job call → .github/workflows/r.yml: job go, step "Go" → kubectl apply -f k8s/'
    called = starter_of_workflow(".github/workflows/r.yml", sources)
    assert (called.called_only, called.applies) == (True, ())


def test_a_composite_action_is_followed(tmp_path: Path) -> None:
    action = "runs:\n  using: composite\n  steps:\n    - shell: bash\n      run: ssh host docker compose up -d\n"
    text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: ./.github/actions/up\n"
    (found,) = starter_of_workflow(WORKFLOW, write(tmp_path, {WORKFLOW: text, ".github/actions/up/action.yml": action})).applies
    assert (found.command, found.file, found.line) == ("docker compose up -d", ".github/actions/up/action.yml", 5)


def test_a_workflow_that_a_workflow_dispatches_is_followed(tmp_path: Path) -> None:
    other = workflow("kubectl apply -f k8s/", on="workflow_dispatch")
    text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: benc-uk/workflow-dispatch@v1\n        with: {workflow: other.yml}\n"
    assert len(starter_of_workflow(WORKFLOW, write(tmp_path, {WORKFLOW: text, ".github/workflows/other.yml": other})).applies) == 1


@pytest.mark.parametrize(
    ("uses", "kind"),
    [
        ("{uses: appleboy/ssh-action@v1, with: {host: h, script: cd /srv/app && docker compose up -d}}", "containers"),
        ("{uses: azure/k8s-deploy@v5, with: {manifests: k8s}}", "cluster"),
        ("{uses: appleboy/scp-action@v1, with: {source: ., target: /srv/app}}", "files"),
        ("{uses: superfly/flyctl-actions@v1, with: {args: deploy --remote-only}}", "platform"),
        ("{uses: someone/our-deploy@v1}", "not-looked-into"),
    ],
)
def test_actions_of_others_are_known_by_what_they_do(tmp_path: Path, uses: str, kind: str) -> None:
    text = f"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - {uses}\n"
    assert [path.kind for path in starter(tmp_path, text).applies] == [kind]


@pytest.mark.parametrize(
    "action",
    [
        "actions/deploy-pages",
        "peaceiris/actions-gh-pages",
        "JamesIves/github-pages-deploy-action",
        "bobheadxi/deployments",
        "webfactory/ssh-agent",
        "actions/checkout",
        "azure/setup-kubectl",
    ],
)
def test_actions_that_publish_or_prepare_are_none(tmp_path: Path, action: str) -> None:
    text = f"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: {action}@v1\n"
    assert starter(tmp_path, text).applies == ()


def test_a_workflow_of_another_repository_that_deploys_is_unproven(tmp_path: Path) -> None:
    found = starter(tmp_path, "on: push\njobs:\n  a:\n    uses: ops/shared/.github/workflows/deploy.yml@main\n")
    judged = judge_no_automatic_apply(Starters(name=WORKFLOW, files=(found,)))
    assert isinstance(judged, Unproven)
    assert "is not looked into" in judged.message
    assert "put what it calls into this tree" in judged.remedy


def test_a_script_that_says_it_deploys_and_is_not_there_is_unproven(tmp_path: Path) -> None:
    (found,) = starter(tmp_path, workflow("./deploy.sh prod")).applies
    assert (found.kind, found.unseen) == ("not-looked-into", "./deploy.sh is not in this tree")


def test_what_the_site_says_applies_is_an_apply_whatever_it_holds(tmp_path: Path) -> None:
    sources = write(tmp_path, {WORKFLOW: workflow("./bin/go"), "bin/go": "#!/bin/sh\ncurl -d @x https://internal/\n"})
    (found,) = starter_of_workflow(WORKFLOW, sources, declared=frozenset({"bin/go"})).applies
    assert found.kind == "apply-script"


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    text = workflow("# first\n\nssh host '\n  true\n  docker restart app'\n")
    (found,) = starter(tmp_path, text).applies
    assert text.splitlines()[found.line - 1].strip() == "ssh host '"


def test_the_key_of_a_finding_holds_no_line(tmp_path: Path) -> None:
    before = starter(tmp_path, workflow("kubectl apply -f k8s/")).applies[0]
    after = starter(tmp_path, "# a comment\n" + workflow("true\nkubectl apply -f k8s/")).applies[0]
    assert before.what == after.what
    assert before.line != after.line


@pytest.mark.parametrize("text", ["", "a: [", "on: push\n", "jobs: {}\n", "[]\n", "on: push\njobs:\n  a: 1\n", "\0"])
def test_a_workflow_that_is_none_is_unproven_or_starts_nothing(tmp_path: Path, text: str) -> None:
    judged = judge_no_automatic_apply(Starters(name=WORKFLOW, files=(starter(tmp_path, text),)))
    assert isinstance(judged, Unproven) is (text != "on: push\njobs:\n  a: 1\n")


def test_an_environment_that_the_site_says_is_reviewed_holds_at_github_alone(tmp_path: Path) -> None:
    text = workflow("kubectl apply -f k8s/", more="environment: production\n")
    for path, held in ((WORKFLOW, True), (".forgejo/workflows/w.yml", False)):
        found = starter_of_workflow(path, write(tmp_path, {path: text}))
        judged = judge_no_automatic_apply(Starters(name=path, files=(_reviewed(found),)))
        assert isinstance(judged, Held) is held
    judged = judge_no_automatic_apply(Starters(name=WORKFLOW, files=(starter(tmp_path, text),)))
    assert isinstance(judged, Broken)
    assert "`automation.reviewed`" in judged.remedy


def _reviewed(found: Starter) -> Starter:
    return replace(found, reviewed=frozenset({"production"}))


# ---- crontabs


def cron(text: str, files: Mapping[str, str], root: Path) -> list[str]:
    found = starter_of_crontab("ops/crontab", parse_crontab(text), write(root, files))
    return [path.told for path in found.applies]


@pytest.mark.parametrize(
    "command",
    [
        "cd /srv/app && docker compose pull -q && docker compose up -d --remove-orphans",
        "/usr/bin/flock -n /tmp/l /srv/app/scripts/update.sh",
        "root test -x /srv/app/scripts/update.sh && /srv/app/scripts/update.sh >> /var/log/u.log 2>&1",
        "docker restart app",
        "systemctl restart app",
        "cd /srv/app; make up",
    ],
)
def test_a_cron_line_that_applies_is_found(tmp_path: Path, command: str) -> None:
    files = {"scripts/update.sh": "#!/bin/sh\ndocker compose up -d\n", "Makefile": "up:\n\tdocker compose up -d\n"}
    assert len(cron(f"0 4 * * * {command}\n", files, tmp_path)) == 1


@pytest.mark.parametrize(
    "command",
    [
        "docker exec db pg_dumpall -U postgres > /var/backups/all.sql",
        "docker run --rm -v certs:/etc/letsencrypt certbot/certbot renew",
        "docker compose run --rm certbot renew --quiet",
        "docker system prune -af",
        "certbot renew --deploy-hook 'systemctl reload nginx'",
        "rsync -a /var/backups/ backup@nas:/backups/",
        "docker kill -s HUP nginx",
        "/srv/app/scripts/backup.sh --scheduled",
        "systemctl reload nginx",
    ],
)
def test_housekeeping_is_no_apply(tmp_path: Path, command: str) -> None:
    backup = "#!/bin/sh\nset -eu\ndocker compose stop app\ntar c /srv/app | zstd > /backup/app.tar.zst\ndocker compose start app\n"
    assert cron(f"0 4 * * * {command}\n", {"scripts/backup.sh": backup}, tmp_path) == []


TOOL = """\
#!/usr/bin/env bash
if [[ ${1} == "backup" ]]; then
  docker exec db mysqldump app > /backup/app.sql
elif [[ ${1} == "restore" ]]; then
  docker compose down && docker compose up -d
fi
while (($#)); do
  case "${1}" in
    --check|backup) exit 0 ;;
  esac
done
[ -f .env ] || exit 1
docker compose pull
docker compose up -d
"""


@pytest.mark.parametrize(("arguments", "applies"), [("backup all", 0), ("--check", 0), ("restore", 3), ("--now", 1), ("", 1)])
def test_what_a_script_is_asked_for_decides_what_it_does(tmp_path: Path, arguments: str, applies: int) -> None:
    assert len(cron(f"0 4 * * * /opt/app/tool.sh {arguments}\n", {"tool.sh": TOOL}, tmp_path)) == applies


OPTIONS = """\
#!/bin/sh
mode=quiet
while [ $# -gt 0 ]; do
  case "$1" in
    --verbose) mode=loud ;;
    up) docker compose up -d ;;
  esac
  shift
done
if [ "$mode" = "later" ]; then docker restart app; fi
"""


@pytest.mark.parametrize(("arguments", "applies"), [("--verbose up", 2), ("up", 2), ("--verbose", 1)])
def test_every_argument_is_looked_at_and_what_a_variable_holds_decides_nothing(tmp_path: Path, arguments: str, applies: int) -> None:
    assert len(cron(f"0 4 * * * /opt/app/tool.sh {arguments}\n", {"tool.sh": OPTIONS}, tmp_path)) == applies


@pytest.mark.parametrize(("argument", "applies"), [("up", 1), ("status", 0), ("", 0)])
def test_a_variable_that_holds_an_argument_decides(tmp_path: Path, argument: str, applies: int) -> None:
    tool = '#!/bin/bash\naction="${1:-status}"\nmain() { case "$action" in up) docker compose up -d;; status) docker ps;; esac; }\nmain "$@"\n'
    assert len(cron(f"0 4 * * * /opt/app/tool.sh {argument}\n", {"tool.sh": tool}, tmp_path)) == applies


def test_an_exit_that_may_not_be_reached_ends_nothing(tmp_path: Path) -> None:
    script = (
        "#!/bin/sh\nif test -f /x; then exit 0; fi\nfor i in a; do exit 1; done\ntrue || exit 3\n(exit 4)\ndocker compose up -d\nexit 0\ndocker restart app\n"
    )
    assert [line.rpartition(" → ")[2] for line in cron("@daily /srv/t.sh\n", {"t.sh": script}, tmp_path)] == ["docker compose up -d on this host"]


def test_two_lines_that_call_the_same_script_are_two_findings(tmp_path: Path) -> None:
    files = {"scripts/update.sh": "#!/bin/sh\ndocker compose up -d\n"}
    told = cron("0 4 * * * /srv/app/scripts/update.sh\n0 16 * * * /srv/app/scripts/update.sh\n", files, tmp_path)
    assert [line.split(" → ")[:2] for line in told] == [["cron 0 4 * * *", "ops/crontab:1"], ["cron 0 16 * * *", "ops/crontab:2"]]


def test_the_way_of_a_cron_line_is_shown(tmp_path: Path) -> None:
    files = {"scripts/update.sh": "#!/bin/sh\nset -e\ndocker compose up -d\n"}
    assert cron("0 4 * * * root /srv/app/scripts/update.sh\n", files, tmp_path) == [
        "cron 0 4 * * * as root → ops/crontab:1 → scripts/update.sh:3 → docker compose up -d on this host"
    ]


@pytest.mark.parametrize(
    "script",
    [
        'LINE="$SCHEDULE /srv/app/scripts/update.sh"\n(crontab -l; echo "$LINE") | crontab -\n',
        "echo '0 4 * * * root /srv/app/scripts/update.sh' > /etc/cron.d/app\n",
        "cat > /etc/cron.d/app <<EOF\nMAILTO=''\n0 4 * * * root /srv/app/scripts/update.sh\nEOF\n",
        "printf '%s /srv/app/scripts/update.sh\\n' '@daily' | crontab -\n",
        "echo '@daily root cd /srv/app && docker compose up -d' | sudo tee /etc/cron.d/app >/dev/null\n",
        'crontab -l > new\necho "*/5 * * * * $DIRECTORY/update.sh" >> new\ncrontab new\nrm new\n',
        "crontab - <<EOF\n@daily docker compose -f /srv/app/compose.yaml up -d\nEOF\n",
    ],
)
def test_a_crontab_that_a_script_writes_is_followed(tmp_path: Path, script: str) -> None:
    sources = write(tmp_path, {"install.sh": script, "scripts/update.sh": "#!/bin/sh\ndocker compose up -d\n"})
    assert "install.sh" in find(sources.tree).crontabs
    (found,) = starter_of_installer("install.sh", script, sources).applies
    assert found.command.startswith("docker compose")
    assert found.told.startswith("cron → install.sh:")


# ---- what is found in a tree


def test_workflows_crontabs_and_the_gate_are_found_where_they_lie(tmp_path: Path) -> None:
    sources = write(
        tmp_path,
        {
            ".forgejo/workflows/a.yml": "x",
            ".gitea/workflows/b.yaml": "x",
            ".github/workflows/gate.yml": workflow("interlock scan ."),
            ".github/dependabot.yml": "x",
            "sub/.github/workflows/not-here.yml": "x",
            "ops/crontab": "x",
            "etc/cron.d/app": "x",
            "deploy/app.cron": "x",
            "docs/crontab.md": "x",
            "tests/crontab": "x",
            "src/crontab.py": "x",
        },
    )
    assert find(sources.tree) == (
        (".forgejo/workflows/a.yml", ".gitea/workflows/b.yaml", ".github/workflows/gate.yml"),
        ("deploy/app.cron", "etc/cron.d/app", "ops/crontab"),
        ".github/workflows/gate.yml",
    )
