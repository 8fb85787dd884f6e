"""The table of the commands: their words, what each calls, its purpose and an example."""

from __future__ import annotations

from endpoints.cli.command import Command
from endpoints.cli.commands_of_certificates import CERTIFICATES

SETTING_UP, RUNNING, DUTY, RECORD = "Setting up", "Running", "On duty", "The record"

COMMANDS: dict[str, tuple[Command, ...]] = {
    SETTING_UP: (
        Command(
            "demo",
            "endpoints.cli.demo:demo",
            "Play one day of November 2022 through real processes.",
            "demo --keep day",
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
            "A running `deconflict broker` takes over a changed access list without a restart. RabbitMQ's definitions "
            "are for `rabbitmqctl import_definitions`, which removes nobody: delete users of removed links by hand.",
        ),
        Command("run", "endpoints.cli.run:run", "Run one side's endpoint.", "run try/eucom/endpoint.toml"),
        Command("watch", "endpoints.cli.run:watch", "Run the independent watch.", "watch try/watch/watch.toml"),
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
    DUTY: (
        Command("test", "endpoints.cli.line_tests:line_test", "Place a line test.", "test try/eucom/endpoint.toml"),
        Command(
            "alert",
            "endpoints.cli.alert:alert",
            "Send an alert and print its reference.",
            "alert try/eucom/endpoint.toml --category air_pursuit --precedence routine --text ru=... --text en=... "
            "--place Dam --at 46.7758,33.3706 --radius 10km --officer watch-1 --wait received",
            "If a second officer must release the alert, nothing is sent yet, and the reference is a draft's, such as "
            "draft/3; --wait then waits for the release as well. "
            "With --wait, the steps of its delivery are printed on standard error: journaled, the broker has it, "
            "received, acknowledged.",
        ),
        Command(
            "release",
            "endpoints.cli.alert:release",
            "Release an alert that another officer wrote.",
            "release try/eucom/endpoint.toml draft/3 --officer watch-2",
            "Shows the whole alert and asks; a script gives --seen, the digest that drafts printed, and --yes. Prints "
            "the alert's reference.",
        ),
        Command(
            "discard",
            "endpoints.cli.alert:discard",
            "Discard an alert that waits for a second officer.",
            "discard try/eucom/endpoint.toml draft/3 --officer watch-2",
            "Shows the whole alert and asks; a script gives --seen and --yes.",
        ),
        Command(
            "drafts",
            "endpoints.cli.show:drafts",
            "List the alerts that wait for a second officer, each in full.",
            "drafts try/eucom/endpoint.toml",
        ),
        Command(
            "show",
            "endpoints.cli.show:show",
            "Show one message or draft in full, with the acts on it.",
            "show try/ndmc/endpoint.toml eucom/1/42",
            "Reads the journal, whether or not the endpoint is running. `seen` is the digest for --seen.",
        ),
        Command(
            "answer",
            "endpoints.cli.line_tests:answer",
            "Answer a line test by retyping its three words.",
            "answer try/ndmc/endpoint.toml eucom/1/7 --officer duty-1 --words 'лодка окно ручей'",
        ),
        Command(
            "acknowledge",
            "endpoints.cli.officer:acknowledge",
            "Acknowledge an alert.",
            "acknowledge try/ndmc/endpoint.toml eucom/1/42 --officer duty-1 --decision understood",
            "On a terminal, the alert is shown first. If another officer has acted on it meanwhile, an officer who has "
            "read it again gives --seen.",
        ),
        Command(
            "refuse",
            "endpoints.cli.officer:refuse",
            "Refuse an alert, optionally with a referral to another channel.",
            "refuse try/eucom/endpoint.toml ndmc/1/3 --officer watch-1 --reason out_of_scope --referral ministers",
            "On a terminal, the alert is shown first. If another officer has acted on it meanwhile, an officer who has "
            "read it again gives --seen.",
        ),
        Command(
            "cancel",
            "endpoints.cli.alert:cancel",
            "Cancel one of this side's alerts.",
            "cancel try/eucom/endpoint.toml eucom/1/42 --officer watch-1",
            "On a terminal, the alert is shown first. The cancellation has the text that was prepared with the alert, "
            "else a standard text.",
        ),
        Command(
            "duty take",
            "endpoints.cli.duty:duty_take",
            "Take the watch.",
            "duty take try/eucom/endpoint.toml --officer watch-2 --relieves watch-1",
            "--relieves names the officer on watch; `status` shows who it is. The other side is not told.",
        ),
        Command(
            "duty leave",
            "endpoints.cli.duty:duty_leave",
            "Leave the watch to nobody.",
            "duty leave try/eucom/endpoint.toml --officer watch-1",
        ),
        Command(
            "messages",
            "endpoints.cli.messages:messages",
            "List the messages of both directions, or with --open what waits for you.",
            "messages try/ndmc/endpoint.toml --open",
            "Reads the journal, whether or not the endpoint is running; --open asks the running endpoint. Times are on "
            "this site's clocks, with the name of their zone; show prints them in UTC as well.",
        ),
        Command(
            "channels",
            "endpoints.cli.channels:channels",
            "Print the card of the other channels between the two sides.",
            "channels try/eucom/endpoint.toml",
            "They are the policy's, for when this line fails or a matter is outside its scope. No process needs to "
            "run. The card is 80 columns wide and prints on A4.",
        ),
        Command(
            "alarms list",
            "endpoints.cli.alarms:alarms_list",
            "List the alarms that are not both cleared and acknowledged.",
            "alarms list try/eucom/endpoint.toml",
        ),
        Command(
            "alarms acknowledge",
            "endpoints.cli.alarms:alarms_acknowledge",
            "Acknowledge an alarm.",
            "alarms acknowledge try/eucom/endpoint.toml broker_unreachable/broker --officer watch-1",
            "The alarm is listed until it is cleared as well. The alarm keys_changed "
            "is acknowledged with three words of the new link file's fingerprint, which accepts the keys.",
        ),
    ),
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
    "cert": (
        "Show, request, sign and renew certificates.",
        "cert show try",
        SETTING_UP,
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
        "Verify a journal, show its records, restore it from a copy.",
        "log verify try/eucom/journal/eucom-ndmc",
        RECORD,
    ),
}
"""Commands that have subcommands."""


PURPOSE = "A signed, journaled deconfliction link between two military headquarters."
