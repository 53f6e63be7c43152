"""The words that the demo's tickets and prose are made of.

Every noun of a queue can stand before every phrase of the same queue, so that any pair reads as a
sentence. No ticket contains the name of a queue: the label has to be learned, not copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class QueueWording:
    """What customers of one queue write about (`nouns`), and what they say about it (`phrases`)."""

    nouns: tuple[str, ...]
    phrases: tuple[str, ...]


WORDING: Final = MappingProxyType(
    {
        "billing": QueueWording(
            nouns=(
                "the March invoice",
                "our latest invoice",
                "the yearly statement",
                "the renewal bill",
                "the credit note",
                "the tax receipt",
                "the payment reminder",
                "the quarterly bill",
                "the deposit slip",
                "the final notice",
            ),
            phrases=(
                "shows the wrong amount",
                "lists the same item twice",
                "leaves out the discount we agreed",
                "is in the wrong currency",
                "adds tax although we are exempt",
                "asks for money we paid last week",
                "has the wrong due date",
                "names a price we never accepted",
                "is twice as high as the last one",
                "does not match our bank records",
            ),
        ),
        "delivery": QueueWording(
            nouns=(
                "the parcel",
                "our pallet of paper",
                "the second box",
                "the express package",
                "the shipment of mugs",
                "the crate of samples",
                "the morning consignment",
                "the contract envelope",
                "the bulk order",
                "the replacement parcel",
            ),
            phrases=(
                "has not arrived yet",
                "was left in the rain",
                "is stuck at the depot",
                "went to our old address",
                "is marked as signed for by nobody",
                "is not on the tracking page",
                "was handed to a neighbour",
                "is three days late",
                "was sent with the wrong courier",
                "should come after five",
            ),
        ),
        "returns": QueueWording(
            nouns=(
                "the standing desk",
                "the grey office chair",
                "the desk lamp",
                "the filing cabinet",
                "the leather bag",
                "the coat stand",
                "the bookcase",
                "the glass table",
                "the foot rest",
                "the winter jacket",
            ),
            phrases=(
                "has the wrong colour",
                "is too large for us",
                "was ordered by mistake",
                "does not look like the picture",
                "was bought twice and has to go",
                "came in the wrong size",
                "is unused and still in its box",
                "is no longer needed",
                "should be exchanged for a smaller one",
                "was a gift we cannot use",
            ),
        ),
        "account": QueueWording(
            nouns=(
                "my password",
                "my user name",
                "the one-time code",
                "the sign-in link",
                "the admin login",
                "the guest login",
                "the backup code",
                "my PIN",
                "the security key",
                "my work email",
            ),
            phrases=(
                "is no longer accepted",
                "is rejected on the welcome page",
                "has expired and I cannot renew it",
                "keeps locking me out of the portal",
                "works on my phone only",
                "is not recognised any more",
                "was changed without my asking",
                "belongs to a colleague who has left",
                "has to be moved to a new user",
                "is refused after the second try",
            ),
        ),
        "repair": QueueWording(
            nouns=(
                "the label printer",
                "the scanner upstairs",
                "the coffee machine",
                "the projector",
                "the paper shredder",
                "the copier",
                "the floor heater",
                "the till",
                "the laminator",
                "the battery charger",
            ),
            phrases=(
                "will not switch on",
                "makes a grinding noise",
                "smells of hot plastic",
                "shuts down after a few minutes",
                "shows a red warning light",
                "has a cracked cover",
                "hums but does nothing",
                "stopped in the middle of a job",
                "has a loose power cable",
                "gets too hot to touch",
            ),
        ),
        "network": QueueWording(
            nouns=(
                "the office wifi",
                "the guest wifi",
                "the remote tunnel",
                "our internet line",
                "the router in the hall",
                "the signal in the warehouse",
                "the shared drive",
                "the video link",
                "the link between sites",
                "the file server",
            ),
            phrases=(
                "drops every ten minutes",
                "is very slow in the afternoon",
                "cannot be reached from home",
                "has been down since this morning",
                "loses half of the packets",
                "is blocked by the firewall",
                "has no connection on the third floor",
                "times out during calls",
                "went offline after the storm",
                "is not visible to new laptops",
            ),
        ),
    }
)
"""The six queues, in the order in which a gate file should list its labels."""

SALUTATIONS: Final = (
    "Hello,",
    "Hi,",
    "Hi team,",
    "Good morning,",
    "Good afternoon,",
    "Dear support team,",
    "Hello, {name} here.",
    "Hi, this is {name} from {place}.",
    "Good morning, {name} from {place} again.",
    "",
    "",
)

LEADS: Final = (
    "",
    "",
    "I noticed that",
    "we found out that",
    "it seems that",
    "I am sorry to say that",
    "just to let you know,",
    "a colleague tells me that",
    "as I said on the phone,",
    "I am writing because",
)

CLOSINGS: Final = (
    "Please help.",
    "Can you look into it?",
    "Could you call me back?",
    "What should we do now?",
    "Please let me know today.",
    "Thanks, {name}.",
    "Thank you in advance.",
    "Kind regards, {name}.",
    "It is rather urgent.",
    "There is no rush.",
    "My reference is {number}.",
    "You can reach me on extension {number}.",
    "This is the second time I write.",
)

NAMES: Final = (
    "Anna",
    "Tom",
    "Priya",
    "Marek",
    "Julia",
    "Omar",
    "Grace",
    "Daniel",
    "Sofia",
    "Peter",
    "Leila",
    "Victor",
)

PLACES: Final = ("Leeds", "Bristol", "York", "Dover", "Cardiff", "Oxford", "the head office", "the shop floor")

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")

# Prose of the kind that a support centre keeps about itself. Slots: {name} {other} {place} {day} {queue}
# {queue2} {noun} {noun2} {noun3} {phrase} {phrase2}
# {count} {month}. Queue names occur as words, but never beside what their customers
# write about: what belongs where is left for fine-tuning to teach.
PROSE_SENTENCES: Final = (
    "The {queue} team meets on {day} morning.",
    "On {day} the {queue} desk was short of staff, so {name} stepped in.",
    "{name} has worked in {queue} since {month}.",
    "{name} moved from {queue} to {queue2} in {month}.",
    "The {queue} queue was empty by noon.",
    "The {queue} queue had {count} open cases on {day}.",
    "Most of the calls from {place} were about {queue}.",
    "New staff spend a week in {queue} and a week in {queue2}.",
    "Ask {name} if you have a question about {queue}.",
    "A word about {queue}: the phones open at eight.",
    "The lists for {queue} and {queue2} are kept in one folder.",
    "In {month} the {queue} group answered {count} letters.",
    "{name} and {other} share the late shift on {day}.",
    "{name} wrote a short note about {noun}.",
    "There was a long talk about {noun} at the meeting in {place}.",
    "A customer from {place} asked twice about {noun}.",
    "Nobody could say who had looked at {noun} first.",
    "We found an old page about {noun} and {noun2}.",
    "{name} told the customer about {noun}, and the customer was content.",
    "The guide has a chapter on {noun}, but it is out of date.",
    "One message from {place} said only that it {phrase}.",
    "A customer told {name} that it {phrase}.",
    "In the log for {day} someone wrote: it {phrase}.",
    "The same customer wrote about {noun} in {month} and about {noun2} this week.",
    "Notes on {noun}, {noun2} and {noun3} are on one page of the guide.",
    "{name} keeps the letters about {noun} next to those about {noun2}.",
    "Whoever asks about {noun} will soon ask about {noun2}.",
    "In one message it {phrase}, in the next it {phrase2}.",
    "Some say that it {phrase}, others that it {phrase2}.",
    "Please keep the notes short and write down the time of each call.",
    "If a customer is upset, listen first and answer later.",
    "Every case gets a number, and the number stays with the case.",
    "The phones were quiet until ten, and then they did not stop.",
    "{name} brought cake on {day}, and it was gone within the hour.",
    "It rained in {place} all week, and few people came to the counter.",
    "The meeting in {place} began at nine and was over by ten.",
    "{name} answered {count} messages on {day}, which is more than usual.",
    "The new headsets came in {month}, and everyone likes them.",
    "We thank {name} from {place} for the kind words.",
    "{other} will be away until {day}, and {name} will answer the mail.",
    "A good answer says what was done, and what happens next.",
    "Before you close a case, read the first message once more.",
    "The kitchen on the second floor is closed until {month}.",
    "One customer waited for {count} minutes on {day}, which is too long.",
    "After lunch {name} read the open cases aloud.",
)

MONTHS: Final = ("January", "March", "April", "June", "August", "October", "December")
