"""The table of the commands: their words, what each calls, its purpose and an example."""

from __future__ import annotations

from endpoints.cli.command import Command
from endpoints.cli.commands_of_certificates import CERTIFICATES
from endpoints.cli.commands_of_console import CONSOLE
from endpoints.cli.commands_on_duty import COMMANDS_ON_DUTY

SETTING_UP, RUNNING, DUTY, RECORD = "Setting up", "Running", "On duty", "The record"

COMMANDS: dict[str, tuple[Command, ...]] = {
    SETTING_UP: (
        Command(
            "demo",
            "endpoints.cli.demo:demo",
            "Play one day of November 2022 through real processes.",
            "demo --check my-scenario.json",
        ),
        Command(
            "init", "endpoints.cli.init:init", "Create both sides, the watch and the broker on one machine.", "init try"
        ),
        Command("enrol", "endpoints.cli.init:enrol", "Create one side's keys and officers.", "enrol hq --side eucom"),
        Command(
            "link make",
            "endpoints.cli.link:link_make",
            "Combine both sides' files into the public link file.",
            "link make link.toml eucom.side.toml ndmc.side.toml",
        ),
        Command("link show", "endpoints.cli.link:link_show", "Show a link file.", "link show try/link.toml"),
        Command(
            "link fingerprint",
            "endpoints.cli.link:link_fingerprint",
            "Print a link file's fingerprint as words to read aloud, or compare it with the other side's.",
            "link fingerprint try/link.toml --compare",
            "With --compare, the words that the other side reads are typed, from a random one on.",
        ),
        Command(
            "link accept",
            "endpoints.cli.link_changes:link_accept",
            "Take over the other side's keys, or its terms for the next epoch.",
            "link accept try/eucom/endpoint.toml from-ndmc.toml",
            "Under the same epoch, this side's own keys stay, and terms that differ are refused. A file with a higher "
            "epoch is prepared beside the link file, and takes effect with `deconflict epoch`.",
        ),
        Command(
            "link amend",
            "endpoints.cli.link_changes:link_amend",
            "Prepare changed terms for the next epoch.",
            "link amend try/eucom/endpoint.toml --slots '0 9,17 * * *' '30 12 * * 1-5' --grace 10m",
            "Writes link.next.toml beside link.toml. The other side takes it over with `link accept`; both compare it "
            "by voice, and then run `deconflict epoch`.",
        ),
        Command(
            "link add",
            "endpoints.cli.link_entries:link_add",
            "Add a further link to an endpoint or to the watch.",
            "link add try/eucom/endpoint.toml try/air.toml",
            "An actual link is compared first: `link confirm`. Afterwards the broker's files are made anew: "
            "`broker --configure`.",
        ),
        Command(
            "link remove",
            "endpoints.cli.link_entries:link_remove",
            "Remove a link from an endpoint or from the watch.",
            "link remove try/eucom/endpoint.toml eucom-ndmc-air",
            "Shows what is open on it, and asks. The link file and the journal stay.",
        ),
        Command(
            "link confirm",
            "endpoints.cli.link_confirm:link_confirm",
            "Compare the link file with the other side's by voice, and confirm it.",
            "link confirm try/eucom/endpoint.toml --officer watch-1",
            "The words that the other side reads are typed, in either language, from a random one on; through a pipe "
            "they come from standard input. The service journals who compared, and when. An actual link opens no epoch "
            "that nobody has confirmed. A file prepared for the next epoch is compared in place of the present one.",
        ),
        Command(
            "key show",
            "endpoints.cli.key_show:key_show",
            "Show a link's keys: whose they are, whether they count, and which sign here.",
            "key show try/eucom/endpoint.toml",
            "Reads the link file, the journal and the keys folder, whether or not the process is running.",
        ),
        Command(
            "key add",
            "endpoints.cli.keys:key_add",
            "Make a new signing key, and name it in the link file.",
            "key add try/eucom/endpoint.toml",
            "The keys in use sign on. The new one signs as well once an officer here has accepted it; the old one is "
            "retired when both sides have accepted the new one.",
        ),
        Command(
            "key retire",
            "endpoints.cli.keys:key_retire",
            "Take a key of this side out of the link file.",
            "key retire try/eucom/endpoint.toml ed25519-f343b31b",
            "Shows what follows and asks; a script gives --yes. The only key that can sign is refused. The private "
            "file is removed once an officer here has acknowledged the change, or when this command runs again then.",
        ),
        Command(
            "key revoke",
            "endpoints.cli.keys:key_revoke",
            "Stop trusting a stolen key at once: of this side, of the other side, or of the watch.",
            "key revoke try/eucom/endpoint.toml ndmc/ed25519-0a1b2c3d",
            "Shows what follows and asks; a script gives --yes. If nothing else of this side could sign, a new key is "
            "made in the same act.",
        ),
        Command(
            "epoch",
            "endpoints.cli.epoch:epoch",
            "Open the next epoch of a link at this side, its consequences shown first.",
            "epoch try/eucom/endpoint.toml",
            "With the file that `link amend` or `link accept` has prepared, else with the present terms. A running "
            "process takes it over without a restart. Both sides and the watch do it in one call.",
        ),
        Command(
            "officer add",
            "endpoints.cli.officers:officer_add",
            "Add an officer to an endpoint or to the watch, and print their new credential, this once.",
            "officer add try/eucom/endpoint.toml watch-3 --name 'Maj Weber'",
            "Ends with a reload of the running process. With --choose, the officer types a credential of at least 15 "
            "characters; it is never an argument. The settings hold its hash alone.",
        ),
        Command(
            "officer remove",
            "endpoints.cli.officers:officer_remove",
            "Remove an officer, who can do nothing from then on.",
            "officer remove try/eucom/endpoint.toml watch-2",
            "First shows what follows: their drafts, which can only be discarded, the watch, the four-eyes rule. Ends "
            "with a reload of the running process. The last officer of an endpoint cannot be removed.",
        ),
        Command(
            "officer reset",
            "endpoints.cli.officers:officer_reset",
            "Give an officer a new credential, and print it, this once.",
            "officer reset try/eucom/endpoint.toml watch-1",
            "The old credential is refused from then on. Ends with a reload of the running process.",
        ),
        Command(
            "officer list",
            "endpoints.cli.officers:officer_list",
            "List the officers, since when each is enrolled, and who has the watch.",
            "officer list try/eucom/endpoint.toml",
            "Since when, and the watch, are in the journals, whether or not the process is running.",
        ),
        *CERTIFICATES,
        Command(
            "doctor",
            "endpoints.cli.doctor:doctor",
            "Check an installation and report problems before start-up.",
            "doctor try/eucom/endpoint.toml",
            "Checks files, permissions, keys, officers, certificates, the broker and its access list, the journals "
            "against the link file, clock, disk, time zone data, the control socket, webhooks, and the alarms of the "
            "running service. It changes nothing, and can run beside the service; the broker is tried under its "
            "identity only while it does not run. With --json: `checked` names the checks; each of `findings` and "
            "`hints` has `check`, `severity`, `where`, `finding`, `remedy`, and both as `what`.",
        ),
        Command(
            "completion",
            "endpoints.cli.completion:completion",
            "Print the script with which a shell completes commands, options and file names.",
            "completion bash > ~/.local/share/bash-completion/completions/deconflict",
            "Without the package bash-completion, put this line into ~/.bashrc: `source <(deconflict completion bash)`",
        ),
    ),
    RUNNING: (
        Command(
            "broker",
            "endpoints.cli.broker:broker",
            "Run Mosquitto, or make its files anew from link files.",
            "broker try --configure try/link.toml try/air.toml",
            "A running `deconflict broker` starts Mosquitto again when its files are replaced. RabbitMQ's definitions "
            "are for `rabbitmqctl import_definitions`, which removes nobody: delete users of removed links by hand.",
        ),
        Command("run", "endpoints.cli.run:run", "Run one side's endpoint.", "run try/eucom/endpoint.toml"),
        Command("watch", "endpoints.cli.run:watch", "Run the independent watch.", "watch try/watch/watch.toml"),
        *CONSOLE,
        Command(
            "reload",
            "endpoints.cli.reloading:reload",
            "Have the running process take over its changed files.",
            "reload try/eucom/endpoint.toml",
            "It reads its settings, link files, private keys and officers anew. Each link whose files have changed is "
            "stopped in order and started again; the connection to the broker stands. If a file is wrong, everything "
            "runs on as before. Commands that change these files do this themselves.",
        ),
        Command(
            "status",
            "endpoints.cli.status:status",
            "Show the status of links, and why it is not fine.",
            "status try/eucom/endpoint.toml try/watch/watch.toml",
            "The worst link decides. Fine: the line is proven. Late: something is overdue. Unproven: nothing is wrong, "
            "but not everything is known. Unknown: no answer from the process.",
        ),
        Command(
            "notify test",
            "endpoints.cli.notify:notify_test",
            "Send a message that says TEST to every receiver of notifications.",
            "notify test try/eucom/endpoint.toml",
            "It is in the language of the settings and has the limits of the running process, which need not run.",
        ),
        Command(
            "schedule",
            "endpoints.cli.schedule:schedule",
            "List the next line tests in UTC and both sites' local time.",
            "schedule try/eucom/endpoint.toml -n 4",
        ),
    ),
    DUTY: COMMANDS_ON_DUTY,
    RECORD: (
        Command(
            "log verify",
            "endpoints.cli.log:log_verify",
            "Verify a journal's chain and signatures.",
            "log verify try/eucom/journal/eucom-ndmc --link-file try/link.toml",
        ),
        Command(
            "log show",
            "endpoints.cli.log:log_show",
            "Show a journal's records with their frames decoded.",
            "log show try/eucom/journal/eucom-ndmc",
        ),
        Command(
            "log archive",
            "endpoints.cli.log_archive:log_archive",
            "Compress a journal, or keep an archive of it elsewhere.",
            "log archive try/eucom/journal/eucom-ndmc --to archive/eucom-ndmc --remove-older-than 400d",
            "Every command reads archived segments as they are, and an archive's folder like a journal's. The service "
            "may run. Each archive is compared with its original before it counts, and nothing is removed before that. "
            "With --json: `journal`, `link`, `side`, `to`, `records`, `head`, `archived`, `unchanged`, `removed`, "
            "`bytes`, `archive_bytes`.",
        ),
        Command(
            "log export",
            "endpoints.cli.log_export:log_export",
            "Write what a journal contains as JSON lines, CSV or CAP 1.2.",
            "log export try/eucom/journal/eucom-ndmc --csv account.csv --from 2022-11-29T08:00",
            "Each export says of which interval it is, up to which record with which hash, by which version it was "
            "made, and what was left out. In CAP, line tests have the status `Test`, exercises `Exercise`; changes, "
            "cancellations and acknowledgements refer to what they are about. With --json: `journal`, `file`, "
            "`verdict`, and `records`, `rows`, or `messages` and `left_out`.",
        ),
        Command(
            "log restore",
            "endpoints.cli.log_restore:log_restore",
            "Put a copy of a journal in its place, and mark it as restored.",
            "log restore backup/eucom-ndmc try/eucom/endpoint.toml",
            "The copy is verified first. A journal that is there is never overwritten: --replace moves it aside. "
            "What followed the copy is missing in it, so `run` refuses it until both sides have opened a new epoch. "
            "With --json: `journal`, `link`, `side`, `records`, `head`, `epoch`, `restored_at`, `source`, `replaced`, "
            "`unfinished_batch_left_out`.",
        ),
        Command(
            "replay",
            "endpoints.cli.replay:replay",
            "Run a journal's events again and compare the effects.",
            "replay try/eucom/journal/eucom-ndmc --until 2022-11-29T12:00:00.000Z",
        ),
        Command(
            "reconcile",
            "endpoints.cli.reconcile:reconcile",
            "Compare the journals of both sides, message by message.",
            "reconcile try/eucom/journal/eucom-ndmc try/ndmc/journal/eucom-ndmc",
            "--watch adds the watch's journal; any two of the three can be compared.",
        ),
        Command(
            "timeline",
            "endpoints.cli.timeline:timeline",
            "Merge the journals of a link into one account of what happened, for a person.",
            "timeline try/eucom/journal/eucom-ndmc try/ndmc/journal/eucom-ndmc --html account.html",
            "The journals of both sides and of the watch, in any order. The account is written whatever they say.",
        ),
        Command(
            "load",
            "endpoints.cli.load:load",
            "Measure how fast a link is, and that it loses nothing.",
            "load --window 64 --duration 10s --report fast",
            "Without endpoints, it runs over a stack of its own, which it starts and stops, and compares it with "
            "yardsticks. Its alerts have the status test and are acknowledged between measurements; links of status "
            "actual are refused, and endpoints that notify anybody.",
        ),
    ),
}
GROUPS = {
    "link": (
        "Create and inspect the public link file, which both sides share.",
        "link fingerprint try/link.toml",
        SETTING_UP,
    ),
    "officer": (
        "Add, remove and list officers, and give them new credentials.",
        "officer list try/eucom/endpoint.toml",
        SETTING_UP,
    ),
    "key": (
        "Show, add, retire and revoke the signing keys of a link.",
        "key show try/eucom/endpoint.toml",
        SETTING_UP,
    ),
    "cert": (
        "Show, request, sign and renew certificates.",
        "cert show try",
        SETTING_UP,
    ),
    "console": (
        "Serve the duty officer's screens in a browser, and end or begin the sessions of those who read them.",
        "console try/eucom/endpoint.toml try/watch/watch.toml",
        RUNNING,
    ),
    "notify": (
        "Test the receivers of notifications.",
        "notify test try/eucom/endpoint.toml",
        RUNNING,
    ),
    "duty": (
        "Take and leave the watch at a running endpoint.",
        "duty take try/eucom/endpoint.toml --officer watch-1",
        DUTY,
    ),
    "alarms": (
        "List and acknowledge the alarms of a running endpoint or watch.",
        "alarms list try/eucom/endpoint.toml",
        DUTY,
    ),
    "log": (
        "Verify a journal, show its records, export, archive and restore it.",
        "log verify try/eucom/journal/eucom-ndmc",
        RECORD,
    ),
}
"""Commands that have subcommands."""


PURPOSE = "A signed, journaled deconfliction link between two military headquarters."
