# The page's words in English. A test holds the languages to the same messages.

skip = Skip to the content
nav = Parts of the page
nav-overview = Overview
nav-subscriptions = Subscriptions
nav-deliveries = Deliveries
nav-events = Events
nav-live = Live
to-overview = To the overview
see-all = See all
copy = Copy
copied = Copied
cancel = Cancel
save = Save changes
create = Create subscription
check = Check
edit = Edit
enable = Switch on
disable = Switch off
delete = Delete
retry = Try again now
next-page = Older
nothing-found = Nothing fits this search.
nothing-found-yet = Nothing in the part of the log that was looked through. Older goes on from there.

ago-now = just now
ago-seconds = { $n } s ago
ago-minutes = { $n ->
    [one] 1 minute ago
   *[other] { $n } minutes ago
}
ago-hours = { $n ->
    [one] 1 hour ago
   *[other] { $n } hours ago
}
ago-days = { $n ->
    [one] 1 day ago
   *[other] { $n } days ago
}
in-time = in { $time }
duration-days = { $n } d

state-pending = Waiting
state-in-flight = Being sent
state-succeeded = Delivered
state-exhausted = Failed
state-held = Held
state-cancelled = Cancelled

health-healthy = Healthy
health-failing = Failing
health-disabled = Disabled
health-off = Switched off

error-dns = Address not found
error-forbidden-address = Address not allowed
error-connect = No connection
error-tls = No secure connection
error-timeout = No answer in time
error-protocol = Not an HTTP answer
error-internal = A fault of the daemon

format-standard = Standard Webhooks
format-blue = Blue
format-raw = Only the data
format-cloudevents = CloudEvents
ordering-none = As fast as possible
ordering-fifo = One after the other, in order

page-error-not-found = There is nothing here
page-error-forbidden = Not allowed
page-error-conflict = Not possible just now
page-error-request = That could not be understood
page-error-internal = Something went wrong inside
page-error-token = The form is from before the daemon's last start, or from another session. Load its page again and send it once more.
page-error-read-only = This key may look at everything and change nothing.

login-title = Log in
login-lead = This daemon is protected by keys.
login-key = Key
login-submit = Log in
login-unknown = That key is not known here.
login-ingest = The key { $name } may only submit events. Looking takes a key with the role read or admin.
login-hint = A new key, and the lines for the config file, are made by:
logout = Log out { $name }

welcome-title = Nothing has happened here yet
welcome-lead = Postrider takes events from your programs and delivers each one, signed, to everyone who wants it. Three steps to the first webhook:
welcome-one = Say who wants to be told
welcome-one-lead = A subscription is an address and the events that it wants.
welcome-two = Send an event
welcome-two-lead = From any program, or from a terminal:
welcome-three = Watch it arrive
welcome-three-lead = Here, and under Deliveries: every attempt, what was answered, and what comes next.

overview-numbers = In numbers
overview-of = { $n ->
    [one] of 1 subscription
   *[other] of { $n } subscriptions
}
overview-failing = the newest attempt failed
overview-off = { $n } of them by hand
overview-waiting = for their turn or a retry
overview-held = go out when switched on
overview-exhausted = { $n } failed for good
overview-unhealthy = Needs attention
overview-recent = Newest deliveries
unhealthy-disabled = switched off { $ago }: { $detail }
unhealthy-failing = the first failure was { $ago }
waiting-count = { $n } waiting
oldest-waiting = the oldest { $ago }

col-state = State
col-event = Event
col-subscription = Subscription
col-answer = Answer
col-attempts = Attempts
col-duration = Took
col-when = When
col-health = Health
col-name = Name
col-matches = Wants
col-waiting = Waiting

filter-any = Any
filter-submit = Search
filter-clear = Clear
filter-name = Name or address
filter-health = Health
filter-type = Event type
filter-project = Project
filter-company = Company
filter-sender-id = Sender's id
filter-event-id = Event's id
filter-since = Since (UTC)
filter-until = Until (UTC)
filter-more = More filters
filter-invalid = What was asked for cannot be read. See the fields above.

deliveries-title = Deliveries
deliveries-none = Nothing has been delivered yet
deliveries-empty = A delivery is made for each subscription that wants an event. Send one:
events-none = No events yet
events-empty = Programs send events over HTTP. Try it from a terminal:
subscriptions-empty = Nobody wants to be told yet
subscriptions-empty-lead = A subscription is an address and the exact combination of event types and projects that it wants. Every such event is delivered there, signed, and tried again if that fails.

subscription-new = New subscription
subscription-no-deliveries = Nothing has been on its way here yet. Send an event that it wants:
recent-deliveries = Newest deliveries
chart-attempts = How long the newest attempts took
chart-legend-succeeded = delivered
chart-legend-failed = failed
owned-by-config = This subscription comes from the config file. Change it there under [[subscriptions]] and reload; it can be switched on and off here.
filter-errors = { $n ->
    [one] The filter failed on 1 event, which so did not match.
   *[other] The filter failed on { $n } events, which so did not match.
}

disabled-manual = Switched off by hand at { $at } UTC: it gets no new events.
disabled-gone = Switched off at { $at } UTC: the receiver answered that it is gone for good (410).
disabled-exhausted = Switched off at { $at } UTC after the attempts of a delivery were used up: { $detail }.
disabled-held = { $n ->
    [0] Nothing is held.
    [one] 1 delivery is held; nothing is lost.
   *[other] { $n } deliveries are held; nothing is lost.
}
failing-text = The newest attempt failed. It is tried again on schedule; the others wait meanwhile, and nothing is lost.
enable-unchecked = What is held goes out, oldest first.
enable-checked = A signed health check goes first. If it is answered with 2xx, what is held goes out, oldest first.

field-matches = What it gets
setting-url = Address
setting-name = Name
setting-events = Events
setting-projects = Projects
field-terms = Terms
setting-filter = Filter
setting-format = Body
setting-ordering = Order
setting-timeout = Time limit of an attempt
setting-retry-schedule = Waits between attempts
setting-max-in-flight = Requests at once
setting-rate-limit = At most
setting-notify-email = Mail to
setting-headers = Headers of its own
setting-tls-ca = Trusted authorities
setting-tls-client-cert = Client certificate
setting-tls-client-key = Private key of the client certificate
field-id = Id
field-changed = Changed
field-why = Why
field-due = Next attempt
field-accepted = Accepted
field-occurred = Happened

setting-url-help = Where each event is sent, by POST.
setting-name-help = For people. Left empty, it is the address's host.
setting-notify-email-help = Who gets mail about its health, if the daemon is set up to send mail. May be left empty.
setting-events-help = One a line: TODO_CREATED, TODO_* for all that begin so, * for all; !TODO_DELETED takes out.
setting-projects-help = One a line: website, acme/website, acme/* for a whole company, * for all; !acme/secret takes out.
setting-filter-help = An expression in CEL over event that must also be true, such as event.data.amount > 100
setting-retry-schedule-none = none: each delivery is attempted once
setting-retry-schedule-help = The first attempt is made at once; each wait is followed by another.
setting-format-help = The format of the request body.
setting-ordering-help = With "in order", a delivery that is retried blocks those after it.
setting-timeout-help = From connecting to the end of the response. If it is empty, delivery.timeout of the config applies.
setting-max-in-flight-help = If it is empty, delivery.max_in_flight_per_subscription of the config applies.
setting-rate-limit-help = Attempts per second (50/s), minute (100/m) or hour (1000/h). If it is empty, there is no limit.
setting-headers-help = Added to each request. Write one on each line, as name: value.
setting-tls-ca-help = PEM of the only authorities to trust for the receiver's certificate. If it is empty, the authorities of the system are trusted.
setting-tls-client-cert-help = PEM of the certificate to present to the receiver, and of its intermediates.
setting-tls-client-key-help = PEM without a passphrase. The key is never shown. Leave the field empty to keep the present key.

edit-title = Edit { $name }
editor-filter = Only if the content fits (filter)
editor-more = Body, order, retries and limits
editor-tls = TLS to the receiver
editor-problems = { $n ->
    [one] One field needs another look.
   *[other] { $n } fields need another look.
}
events-mode-all = Everything, also what comes later
events-mode-only = Only these
events-mode-except = Everything except these
events-mode-terms = Written by hand
projects-mode-all = Every project, also later ones
projects-mode-only = Only these
projects-mode-except = Every project except these
projects-mode-terms = Written by hand
picker-search = Find
picker-all = All
picker-none = None
picker-other = Other events
picker-no-company = Without a company
picker-company = Every project of { $company }
picker-nothing = Pick at least one, or choose everything above.
picker-no-types = No event types are known yet. They show here once events came, or when the config file lists them under [[event_types]].
picker-no-projects = No projects are known yet. They show here once events came, or when the config file lists them under [[projects]].

preview-title = Tried on the newest events
preview-count = { $n } of the newest { $of } would have been delivered.
preview-none = No event has come yet to try this with.
preview-match = would be delivered
preview-invalid = This shows once the fields beside it are right.

reason-events = its type is not wanted
reason-projects = its project is not wanted
reason-filter = the filter is not true
reason-filter-failed = the filter failed: { $detail }
reason-disabled = switched off by hand
reason-matches-now = would get it now; it did not when the event came

sentence = { $what }, { $place }.
sentence-everything = everything that happens
sentence-group = all { $n } { $group } events
sentence-prefix = everything that begins with { $prefix } ({ $known } known)
sentence-more-types = { $n ->
    [one] 1 more event type
   *[other] { $n } more event types
}
sentence-every-project = every project
sentence-company = every project of { $company }
sentence-in = in { $places }
sentence-more-projects = { $n ->
    [one] 1 more project
   *[other] { $n } more projects
}
sentence-except = { $base } except { $excluded }
sentence-list = { $first } and { $last }

secret-title = The signing secret, shown this once
secret-lead = Give it to whoever runs the receiver: with it they check that a request is yours. It cannot be shown again.
secret-verify = How the receiver checks a request
secret-other-language = Another language
secret-signature = Any Standard Webhooks library will do. The header webhook-signature holds v1, and then:

delete-title = Delete { $name }?
delete-lead = This cannot be undone.
delete-unfinished = { $n ->
    [0] No delivery is unfinished.
    [one] 1 unfinished delivery is cancelled.
   *[other] { $n } unfinished deliveries are cancelled.
}
delete-secret = Its signing secret is gone for good.
delete-log = What was delivered stays in the log as long as the log is kept.
delete-confirm = Delete for good

retry-lead = Now, with a whole schedule of retries ahead. Attempts already made stay on record.
timeline = What happened
timeline-accepted = Accepted and on stable storage
timeline-attempt = Attempt { $n }
timeline-next = Attempt { $n } comes next
timeline-headers = Request headers
timeline-signature = By the present settings; and webhook-signature (in the Blue format also x-signature), which is made for each attempt and not kept.

payload = Payload
payload-none = This event has no data.
payload-formatted = Laid out
payload-raw = As it was submitted
event-matched = { $n ->
    [0] Nobody wanted it
    [one] 1 subscription wanted it
   *[other] { $n } subscriptions wanted it
}
event-unmatched = No subscription matched when it came. Below is why.
event-others = Who did not get it, and why
event-others-lead = By the present settings of each subscription.
event-others-more = and { $n } more

notice-created = The subscription is made.
notice-changed = Saved. It holds for every event from now on.
notice-enabled = Switched on.
notice-enabled-checked = The health check passed: it is switched on, and what was held goes out.
notice-check-failed = The health check failed, so it stays switched off.
notice-disabled = Switched off. It gets no new events until it is switched on.
notice-deleted = Deleted.
notice-retried = It is tried again now.
notice-refused = That did not work:
notice-answer = The receiver answered { $answer } after { $length }.

cancel-delivery = Give up
send-test = Send a test
notice-cancelled = Given up: it is not attempted any more.
notice-tested = A signed sample was sent.
notice-rotated = The secret is exchanged.
field-old-secret = Older secret
secret-until = signs until { $at } UTC
rotate = Exchange the secret
rotate-lead = A new secret is made and shown once. For a while both sign every request, so that the receiver can change over without losing one.
rotate-grace = The old one goes on signing for
rotate-hour = an hour
rotate-day = a day
rotate-week = a week
rotate-none = not at all
rotate-submit = Make a new secret

overview-charts = Charts
chart-hour = Attempts in the last hour
chart-day = Attempts in the last day
chart-durations = How long they took, last hour
chart-mean = average
chart-longest = longest
chart-last-minute = Last minute
chart-rates = Now
chart-accepted = { $n ->
    [one] 1 event
   *[other] { $n } events
}
chart-succeeded = { $n } delivered
chart-failed = { $n } failed
rate-events = events per second
rate-attempts = attempts per second
rate-accept = to store an event (99 %)
rate-first = to the first attempt (99 %)

live-lead = Events, attempts and changes of subscriptions as they happen. The newest are at the top.
live-open = listening
live-closed = not connected
live-pause = Pause
live-resume = Go on
live-script = This part needs JavaScript. The same shows, when the page is loaded again, under
live-empty = Nothing has happened since this page was opened. Send an event:
live-col-change = What
live-col-object = Which
live-col-detail = Detail
live-accepted = Event accepted
live-matched = subscriptions want it
live-matched-one = subscription wants it
live-attempt = Attempt
live-gap = Some of what happened was missed.
live-created = Subscription created
live-settings = Settings changed
live-health = Health changed
live-deleted = Subscription deleted
secret-private = This is the private half, which stays with whoever signs. Receivers verify with the public half, which the subscription shows.
field-public-key = Public key

replay = Deliver again
replay-title = Deliver to { $name } again
replay-lead = The log still has what happened. Choose a part of it: everything in it that this subscription wants goes out once more, also what came before the subscription existed. Nothing is sent until you have seen how much it is.
replay-off = This subscription is switched off: what is made now is held until it is switched on.
replay-quick = Everything of
replay-hour = the last hour
replay-day = the last day
replay-week = the last week
replay-all = the whole log
replay-events = Which events
replay-state-any = All that it wants now
replay-state-succeeded = Those that were delivered
replay-state-exhausted = Those whose delivery failed for good
replay-state-cancelled = Those whose delivery was cancelled
replay-span-hint = A time left empty is the beginning of the log, or now.
replay-count = Count first
replay-counted = { $n ->
    [0] There is nothing to deliver again.
    [one] 1 event would be delivered again.
   *[other] { $n } events would be delivered again.
}
replay-counted-part = More than { $n } events would be delivered again; counting took too long to go on.
replay-explanation = Each gets a new delivery, oldest first, in steps that leave room for new events. It goes on if the daemon is restarted, and can be stopped.
replay-start = Deliver again now
replay-events-hint = Single events, or all of one type, are chosen under
replays-title = Replays
replays-none = Nothing has been delivered again
replays-empty = A part of the log is delivered to a subscription again from that subscription's page.
replay-progress = { $n } of { $of } looked at
replay-created = { $n ->
    [one] 1 delivery made.
   *[other] { $n } deliveries made.
}
replay-skipped = { $n ->
    [0] {""}
    [one] 1 event passed over: it is on its way already.
   *[other] { $n } events passed over: they are on their way already.
}
replay-period = Of the time
replay-span = { $since } to { $until } UTC
replay-from-beginning = the beginning of the log
replay-started = Begun
replay-finished = Ended
replay-deliveries = Its deliveries
replay-stop = Stop
replay-col-created = Made
job-running = Running
job-done = Done
job-cancelled = Stopped
job-failed = Failed
notice-replay-started = It has begun, and goes on by itself.
notice-replay-cancelled = Stopped. What had been made goes on.

redeliver = Deliver again
redeliver-title = Deliver chosen events again
redeliver-selected = { $n ->
    [one] 1 event is chosen.
   *[other] { $n } events are chosen.
}
redeliver-more = These are the newest that fit; for more, deliver a subscription's past again from its page.
redeliver-none = No event is chosen. Tick some in the list, or search for a type, and go on from there.
redeliver-to = To which subscription
redeliver-to-hint = Its name, or its id.
redeliver-preview = See what would happen
redeliver-counted = { $n ->
    [0] Nothing would go to { $name }.
    [one] 1 event would go to { $name }.
   *[other] { $n } events would go to { $name }.
}
redeliver-unfinished = { $n ->
    [one] 1 is on its way there already and is passed over.
   *[other] { $n } are on their way there already and are passed over.
}
redeliver-unmatched = { $n ->
    [one] 1 of them is not what this subscription asks for. It goes there all the same, since you chose it.
   *[other] { $n } of them are not what this subscription asks for. They go there all the same, since you chose them.
}
redeliver-start = Deliver again now
redeliver-checked = Deliver the ticked ones again
redeliver-found = Deliver all of this search again
redeliver-done = { $n ->
    [0] Nothing was delivered again.
    [one] 1 new delivery is made.
   *[other] { $n } new deliveries are made.
}
redeliver-skipped = { $n ->
    [one] 1 event was passed over: it is on its way already, or no longer in the log.
   *[other] { $n } events were passed over: they are on their way already, or no longer in the log.
}
select = Choose
reason-unfinished = on its way already

editor-already-submitted = This form has been sent before, with other settings, and made a subscription then. Send it once more if another one is meant.
picker-seen = { $n ->
    [one] 1 event so far
   *[other] { $n } events so far
}
picker-more = The log has more than are shown here. Write the others by hand.
sentence-group-part = { $n } { $group } events

why-cancelled-manually = cancelled by hand
why-deleted = its subscription { $name } was deleted at { $at } UTC
why-deleted-long-ago = its subscription is deleted
why-disabled-manually = held since { $at } UTC: switched off by hand
why-disabled-failing = held since { $at } UTC: switched off for its answers, the last being { $detail }
why-retry-after = the receiver asked to be left alone until { $at } UTC
why-probe = waits until the receiver answers again; { $probe } asks it
why-due = attempt { $n } is due at { $at } UTC
why-queued = waits for its turn; { $n } are out to this receiver
due-reason = { $wait } after attempt { $n } ended: the wait of the retry schedule, or longer if the receiver asked for it (Retry-After).
disabled-response = { $detail } from { $host }
failing-since = Attempts fail since { $at } UTC.
field-last-success = Last delivered
field-last-failure = Last failed
chart-older = older
chart-newest = newest
chart-success-count = { $n } of { $of } delivered
chart-duration-summary = half took up to { $half }, the longest { $longest }
chart-hour-ago = an hour ago
chart-day-ago = a day ago
chart-axis-now = now
overview-healthy = In good order

problem-name = must be 1 to { $most } printable characters
problem-name-empty = is empty: { $what } has 1 to { $most } characters
problem-name-long = has { $bytes } bytes: { $what } has at most { $most }
problem-name-character = '{ $text }' has { $character }: { $what } consists of { $allowed }
problem-term-star = '{ $text }' has a '*' in the wrong place: { $place }
problem-term-excludes-all = '!*' excludes everything: to receive nothing, disable the subscription
problem-terms-empty = is an empty list, which could mean none or all: for all, omit it or use "*"; for none, disable the subscription
problem-terms-many = has { $count } terms: expected at most { $most }
problem-time = '{ $text }' is not an RFC 3339 time since 1970 such as 2026-01-31T08:00:00.000Z
problem-interval = '{ $text }' is not a duration such as "250ms", "5s", "2m", "24h" or "30d"
problem-id = '{ $text }' is not { $what }: expected { $prefix } and 26 letters and digits
problem-word = '{ $text }' is not a known value: expected one of { $words }
problem-state = '{ $text }' is not a state of a delivery: expected one of { $words }
problem-rate = '{ $text }' is not a rate such as "50/s", "100/m" or "1000/h"
problem-email = '{ $text }' is not an e-mail address such as "ops@acme.example"
problem-filter = line { $line }, column { $column }: { $message }
problem-filter-token = line { $line }, column { $column }: '{ $token }' { $message }
problem-address = { $address } is { $why } and may not be called: add its network to `delivery.allow_networks` to allow it
problem-address-inside = { $address } is { $why } (it stands for { $inside }) and may not be called: add its network to `delivery.allow_networks` to allow it
problem-url-missing = is missing: give the http or https URL of the receiver
problem-url-relative = '{ $text }' is not a complete URL: begin it with https:// or http://
problem-url = '{ $text }' is not a URL: { $cause }
problem-url-scheme = '{ $text }' has the scheme { $scheme }: expected http or https
problem-url-fragment = '{ $text }' has a #fragment, which HTTP never sends: remove it
problem-long = has { $bytes } bytes: expected at most { $most }
problem-headers-many = has { $count } headers: expected at most { $most }
problem-header-name = is not the name of an HTTP header
problem-header-reserved = is reserved for the daemon or for HTTP: choose another name
problem-header-value = has an invalid value: expected at most { $most } visible ASCII characters and spaces
problem-timeout = '{ $timeout }' is out of range: expected 100ms to 60s
problem-retries-many = has { $count } waits: expected at most { $most }
problem-retry-long = '{ $wait }' is too long: expected at most 7d
problem-in-flight = { $text } is not a whole number from 1 to { $most }
problem-email = '{ $text }' is not an e-mail address such as "ops@acme.example"
problem-span = is not after since: nothing would be delivered
problem-several = several are called '{ $text }': take the id, sub_…
problem-no-such = there is no { $what } '{ $id }'
problem-role = key '{ $name }' has the role { $role }: this needs admin
problem-of-config = subscription '{ $name }' is managed by the config file: change it there and reload
problem-outdated = the subscription { $id } has been changed meanwhile: get it again
problem-replays-many = api.replays_running_max replays are running: wait for one, or cancel it
problem-key-reused = this idempotency key was used with another body: take a new key for a new request
problem-no-subscription = the subscription { $id } of this delivery is deleted
problem-is-attempted = { $id } is being attempted right now: wait for its answer
problem-no-event = the event { $id } of this delivery is no longer in the log
problem-ended = { $id } has ended already: it is { $state }
problem-switched-off = { $id } has been switched off anew: look again, then enable it
problem-made-and-deleted = { $id }, which was made with this idempotency key, has been deleted
problem-secrets = { $count } secrets would sign side by side, more than { $most }: wait, or rotate with a grace of "0ms", which ends all before at once
problem-secrets-until = { $count } secrets would sign side by side, more than { $most }: the first of them ends at { $end }: wait, or rotate with a grace of "0ms", which ends all before at once

phrase-is-missing-here = is missing here
phrase-the-expression-ends-too-early = the expression ends too early
phrase-is-not-part-of-an-expression = is not part of an expression
phrase-is-not-expected-here = is not expected here
phrase-an-event-type = an event type
phrase-a-project-id = a project id
phrase-a-company-id = a company id
phrase-an-event-s-own-id = an event's own id
phrase-visible-ascii-characters = visible ASCII characters
phrase-it-may-only-be-the-last-character-as-in-todo-or = it may only be the last character, as in TODO_* or *
phrase-a-project-is-written-website-acme-website-acme-or = a project is written website, acme/website, acme/* or *
phrase-an-event-id = an event id
phrase-a-subscription-id = a subscription id
phrase-a-delivery-id = a delivery id
phrase-a-replay-id = a replay id
phrase-subscription = subscription
phrase-delivery = delivery
phrase-event = event
phrase-replay = replay
phrase-succeeded = succeeded
phrase-exhausted = exhausted
phrase-cancelled = cancelled
phrase-done = done
phrase-failed = failed
phrase-empty-host = empty host
phrase-invalid-port-number = invalid port number
phrase-invalid-international-domain-name = invalid international domain name
phrase-invalid-ipv4-address = invalid IPv4 address
phrase-invalid-ipv6-address = invalid IPv6 address
phrase-unspecified = unspecified
phrase-of-this-network = of this network
phrase-private = private
phrase-of-a-carrier-s-nat = of a carrier's NAT
phrase-loopback = loopback
phrase-cloud-metadata = cloud metadata
phrase-link-local-cloud-metadata = link-local (cloud metadata)
phrase-reserved-for-protocols = reserved for protocols
phrase-for-documentation = for documentation
phrase-a-6to4-relay = a 6to4 relay
phrase-for-benchmarking = for benchmarking
phrase-multicast = multicast
phrase-broadcast = broadcast
phrase-reserved = reserved
phrase-local-use-nat64 = local-use NAT64
phrase-discard-only = discard-only
phrase-unique-local-private = unique local (private)
phrase-site-local = site-local
