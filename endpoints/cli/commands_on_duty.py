"""The commands of officers on duty, as a part of the table of commands."""

from __future__ import annotations

from endpoints.cli.command import Command

COMMANDS_ON_DUTY: tuple[Command, ...] = (
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
)
