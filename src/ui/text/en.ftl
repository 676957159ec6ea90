# The English messages of the page. A test checks that all languages have the same messages.

skip = Skip to content
nav = Main navigation
nav-overview = Overview
nav-subscriptions = Subscriptions
nav-deliveries = Deliveries
nav-events = Events
nav-live = Live
to-overview = Go to overview
see-all = See all
copy = Copy
copied = Copied
cancel = Cancel
save = Save changes
create = Create subscription
check = Check settings
edit = Edit
enable = Enable
disable = Disable
delete = Delete
retry = Retry
next-page = Older
nothing-found = No results.
nothing-found-yet = No results in the part of the log searched so far. Choose Older to continue the search.

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

state-pending = Pending
state-in-flight = Sending
state-succeeded = Delivered
state-exhausted = Failed
state-held = Held
state-cancelled = Cancelled

health-healthy = Healthy
health-failing = Failing
health-disabled = Disabled
health-off = Disabled manually

error-dns = Could not resolve host name
error-forbidden-address = Address not allowed
error-connect = Could not connect
error-tls = TLS connection failed
error-timeout = Timed out
error-protocol = Invalid HTTP response
error-internal = Internal error

format-standard = Standard Webhooks
format-blue = Blue
format-raw = Data only
format-cloudevents = CloudEvents
ordering-none = As fast as possible
ordering-fifo = In order, one at a time

page-error-not-found = Page not found
page-error-forbidden = Access denied
page-error-conflict = This change is not possible right now
page-error-request = Invalid request
page-error-internal = Internal error
page-error-token = This form has expired: the daemon has restarted, or you have logged in again. Reload the page and submit the form again.
page-error-read-only = Your key has the role read, which cannot change anything. Log in with a key that has the role admin.

login-title = Log in
login-lead = Log in with an API key.
login-key = Key
login-submit = Log in
login-unknown = Unknown key. Check that the whole key was copied.
login-ingest = The key { $name } has the role ingest and can only submit events. Log in with a key that has the role read or admin.
login-hint = To generate a key and the lines for the config file, run:
logout = Log out { $name }

welcome-title = No events yet
welcome-lead = Postrider accepts events from your programs and delivers each one, signed, to every subscription that matches. Send your first webhook in three steps:
welcome-one = Create a subscription
welcome-one-lead = A subscription has a URL and selects the events to deliver to it.
welcome-two = Send an event
welcome-two-lead = From any program, or from a terminal:
welcome-three = Follow the delivery
welcome-three-lead = This page and Deliveries show every attempt, the response, and when the next attempt is due.

overview-numbers = Totals
overview-of = { $n ->
    [one] of 1 subscription
   *[other] of { $n } subscriptions
}
overview-failing = latest attempt failed
overview-off = { $n } disabled manually
overview-waiting = waiting for an attempt or a retry
overview-held = sent once their subscription is enabled
overview-exhausted = { $n } failed
overview-unhealthy = Needs attention
overview-recent = Recent deliveries
unhealthy-disabled = disabled { $ago }: { $detail }
unhealthy-failing = failing since { $ago }
waiting-count = { $n } waiting
oldest-waiting = oldest { $ago }

col-state = State
col-event = Event
col-subscription = Subscription
col-answer = Response
col-attempts = Attempts
col-duration = Duration
col-when = Time
col-health = Health
col-name = Name
col-matches = Matches
col-waiting = Pending

filter-any = Any
filter-submit = Search
filter-clear = Clear
filter-name = Name or URL
filter-health = Health
filter-type = Event type
filter-project = Project
filter-company = Company
filter-sender-id = Sender's ID
filter-event-id = Event ID
filter-since = From (UTC)
filter-until = To (UTC)
filter-more = More filters
filter-invalid = The search is invalid. Correct the fields marked above.

deliveries-title = Deliveries
deliveries-none = No deliveries yet
deliveries-empty = Each subscription that matches an event gets a delivery. Send an event:
events-none = No events yet
events-empty = Programs send events over HTTP. Try it from a terminal:
subscriptions-empty = No subscriptions yet
subscriptions-empty-lead = A subscription has a URL and selects events by type and project. Postrider signs each matching event, delivers it to the URL, and retries if delivery fails.

subscription-new = New subscription
subscription-no-deliveries = No deliveries to this subscription yet. Send an event that matches it:
recent-deliveries = Recent deliveries
chart-attempts = Duration of recent attempts
chart-legend-succeeded = delivered
chart-legend-failed = failed
owned-by-config = The config file manages this subscription. To change it, edit [[subscriptions]] there and reload. You can enable and disable it here.
filter-errors = { $n ->
    [one] The filter failed on 1 event, which therefore did not match.
   *[other] The filter failed on { $n } events, which therefore did not match.
}

disabled-manual = Disabled manually on { $at } UTC. New events are not delivered to it.
disabled-gone = Disabled on { $at } UTC: the receiver answered 410 Gone.
disabled-exhausted = Disabled on { $at } UTC after all attempts of a delivery failed: { $detail }.
disabled-held = { $n ->
    [0] No deliveries are held.
    [one] 1 delivery is held. Nothing is lost.
   *[other] { $n } deliveries are held. Nothing is lost.
}
failing-text = The latest attempt failed. Postrider retries on schedule; the other deliveries wait. Nothing is lost.
enable-unchecked = Held deliveries are sent, oldest first.
enable-checked = Postrider sends a signed health check first. If the receiver answers with 2xx, held deliveries are sent, oldest first.

field-matches = Matches
setting-url = URL
setting-name = Name
setting-events = Events
setting-projects = Projects
field-terms = Patterns
setting-filter = Filter
setting-format = Body format
setting-ordering = Order
setting-timeout = Attempt timeout
setting-retry-schedule = Retry schedule
setting-max-in-flight = Concurrent requests
setting-rate-limit = Rate limit
setting-notify-email = Notification email
setting-headers = Custom headers
setting-tls-ca = Trusted certificate authorities
setting-tls-client-cert = Client certificate
setting-tls-client-key = Client private key
field-id = ID
field-changed = Last changed
field-why = Reason
field-due = Next attempt
field-accepted = Accepted
field-occurred = Occurred

setting-url-help = Events are sent to this URL with POST.
setting-name-help = A display name. Defaults to the host of the URL.
setting-notify-email-help = Optional. Receives email when the health of the subscription changes, if the daemon is configured to send email.
setting-events-help = One per line: TODO_CREATED; TODO_* for every type with that prefix; * for all. A leading ! excludes: !TODO_DELETED.
setting-projects-help = One per line: website; acme/website; acme/* for a whole company; * for all. A leading ! excludes: !acme/secret.
setting-filter-help = A CEL expression over event that must also be true. Example: event.data.amount > 100
setting-retry-schedule-none = no retries
setting-retry-schedule-help = The first attempt starts immediately. Each wait is followed by another attempt.
setting-format-help = The format of the request body.
setting-ordering-help = In order, a delivery that waits for a retry delays the deliveries after it.
setting-timeout-help = From connecting to the end of the response. Defaults to delivery.timeout in the config file.
setting-max-in-flight-help = Defaults to delivery.max_in_flight_per_subscription in the config file.
setting-rate-limit-help = Attempts per second (50/s), minute (100/m) or hour (1000/h). Leave it empty for no limit.
setting-headers-help = Added to each request. Write one per line, as name: value.
setting-tls-ca-help = PEM. Only these authorities are trusted for the receiver's certificate. Defaults to the authorities of the system.
setting-tls-client-cert-help = PEM of the certificate to present to the receiver, with its intermediates.
setting-tls-client-key-help = PEM without a passphrase. The key is never shown. Leave it empty to keep the current key.

edit-title = Edit { $name }
editor-filter = Filter by content
editor-more = Format, order, retries and limits
editor-tls = TLS
editor-problems = { $n ->
    [one] Correct the field marked below.
   *[other] Correct the { $n } fields marked below.
}
events-mode-all = All events, including new types
events-mode-only = Only these
events-mode-except = All except these
events-mode-terms = Enter patterns
projects-mode-all = All projects, including new ones
projects-mode-only = Only these
projects-mode-except = All except these
projects-mode-terms = Enter patterns
picker-search = Find
picker-all = Select all
picker-none = Clear
picker-other = Other events
picker-no-company = No company
picker-company = All projects of { $company }
picker-nothing = Select at least one, or choose all above.
picker-no-types = No known event types. They appear here when events arrive, or when you list them under [[event_types]] in the config file.
picker-no-projects = No known projects. They appear here when events arrive, or when you list them under [[projects]] in the config file.

preview-title = Test against recent events
preview-count = { $n } of the { $of } most recent events match.
preview-none = There are no events to test against yet.
preview-match = matches
preview-invalid = Correct the fields to see this.

reason-events = event type not selected
reason-projects = project not selected
reason-filter = the filter is false
reason-filter-failed = the filter failed: { $detail }
reason-disabled = disabled manually
reason-matches-now = matches now, but did not when the event was accepted

sentence = { $what }, { $place }.
sentence-everything = all events
sentence-group = all { $n } { $group } events
sentence-prefix = event types that begin with { $prefix } ({ $known } known)
sentence-more-types = { $n ->
    [one] 1 more event type
   *[other] { $n } more event types
}
sentence-every-project = all projects
sentence-company = all projects of { $company }
sentence-in = in { $places }
sentence-more-projects = { $n ->
    [one] 1 more project
   *[other] { $n } more projects
}
sentence-except = { $base } except { $excluded }
sentence-list = { $first } and { $last }

secret-title = Signing secret
secret-lead = Copy it now: it is not shown again. The receiver uses it to verify that requests come from you.
secret-verify = How to verify a request
secret-other-language = Other languages
secret-signature = Use any Standard Webhooks library. The header webhook-signature contains v1, followed by:

delete-title = Delete { $name }?
delete-lead = You cannot undo this.
delete-unfinished = { $n ->
    [0] There are no unfinished deliveries.
    [one] 1 unfinished delivery is cancelled.
   *[other] { $n } unfinished deliveries are cancelled.
}
delete-secret = Its signing secret is deleted.
delete-log = Its past deliveries stay in the log until retention deletes them.
delete-confirm = Delete subscription

retry-lead = Starts the retry schedule over. Earlier attempts stay in the history.
timeline = History
timeline-accepted = Accepted and stored durably
timeline-attempt = Attempt { $n }
timeline-next = Attempt { $n } is next
timeline-headers = Request headers
timeline-signature = Based on the current settings. The header webhook-signature (in the Blue format also x-signature) is created for each attempt and not stored.

payload = Payload
payload-none = This event has no data.
payload-formatted = Formatted
payload-raw = As submitted
event-deliveries = { $n ->
    [0] No deliveries
    [one] 1 delivery
   *[other] { $n } deliveries
}
event-unmatched = No subscription matched when the event was accepted. The reasons are below.
event-others = Subscriptions without a delivery
event-others-lead = Based on the current settings of each subscription.
event-others-more = and { $n } more

notice-created = Subscription created.
notice-changed = Changes saved. They apply to new events.
notice-enabled = Subscription enabled.
notice-enabled-checked = The health check passed. The subscription is enabled, and held deliveries are released.
notice-check-failed = The health check failed. The subscription stays disabled.
notice-disabled = Subscription disabled. New events are not delivered to it until you enable it.
notice-deleted = Subscription deleted.
notice-retried = Retry requested.
notice-refused = The change was not made:
notice-answer = The receiver answered { $answer } after { $length }.

cancel-delivery = Cancel delivery
send-test = Send test event
notice-cancelled = Delivery cancelled. No more attempts will be made.
notice-tested = Test event sent.
notice-rotated = Secret rotated.
field-old-secret = Previous secret
secret-until = signs until { $at } UTC
rotate = Rotate secret
rotate-lead = Creates a new secret, which is shown once. During the grace period both secrets sign every request, so that the receiver can switch without rejecting any.
rotate-grace = Keep signing with the old secret for
rotate-hour = 1 hour
rotate-day = 1 day
rotate-week = 1 week
rotate-none = 0 hours (revoke immediately)
rotate-submit = Rotate secret

overview-charts = Charts
chart-hour = Attempts, last hour
chart-day = Attempts, last day
chart-durations = Attempt duration, last hour
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
rate-accept = to store an event (p99)
rate-first = to the first attempt (p99)

live-lead = Events, attempts and subscription changes as they happen, newest first.
live-open = online
live-closed = offline
live-pause = Pause
live-resume = Resume
live-script = This page needs JavaScript. The same information, without live updates, is under
live-empty = Nothing has happened since you opened this page. Send an event:
live-col-change = Change
live-col-object = Object
live-col-detail = Details
live-accepted = Event accepted
live-matched = subscriptions match
live-matched-one = subscription matches
live-attempt = Attempt
live-gap = Some changes were missed.
live-created = Subscription created
live-settings = Settings changed
live-health = Health changed
live-deleted = Subscription deleted
secret-private = This is the private key, for the sender. Receivers verify with the public key, which the subscription's page shows.
field-public-key = Public key

replay = Replay events
replay-title = Replay events to { $name }
replay-lead = Choose a period of the log. Every event in it that matches this subscription is delivered again, even if it was accepted before the subscription existed. Count the events first: nothing is sent until you confirm.
replay-off = This subscription is disabled. New deliveries are held until you enable it.
replay-quick = All events of
replay-hour = the last hour
replay-day = the last day
replay-week = the last week
replay-all = the whole log
replay-events = Events
replay-state-any = All that match now
replay-state-succeeded = Only those delivered
replay-state-exhausted = Only those whose delivery failed
replay-state-cancelled = Only those whose delivery was cancelled
replay-span-hint = Leave a field empty to start at the beginning of the log, or to end now.
replay-count = Count events
replay-counted = { $n ->
    [0] There are no events to replay.
    [one] 1 event will be replayed.
   *[other] { $n } events will be replayed.
}
replay-counted-part = More than { $n } events will be replayed. Counting them all takes too long.
replay-explanation = Each event gets a new delivery, oldest first. New events are not delayed. The replay continues after a restart, and you can stop it.
replay-start = Start replay
replay-events-hint = To redeliver single events, or all events of one type, go to
replays-title = Replays
replays-none = No replays yet
replays-empty = To replay events to a subscription, open the subscription's page.
replay-progress = { $n } of { $of } events processed
replay-created = { $n ->
    [one] 1 delivery created.
   *[other] { $n } deliveries created.
}
replay-skipped = { $n ->
    [0] {""}
    [one] 1 event skipped: it already has an unfinished delivery.
   *[other] { $n } events skipped: they already have unfinished deliveries.
}
replay-period = Period
replay-span = { $since } to { $until } UTC
replay-from-beginning = beginning of the log
replay-started = Started
replay-finished = Finished
replay-deliveries = View deliveries
replay-stop = Stop replay
replay-col-created = Deliveries
job-running = Running
job-done = Completed
job-cancelled = Stopped
job-failed = Failed
notice-replay-started = Replay started. It continues in the background.
notice-replay-cancelled = Replay stopped. Deliveries created before the stop continue.

redeliver = Redeliver
redeliver-title = Redeliver events
redeliver-selected = { $n ->
    [one] 1 event selected.
   *[other] { $n } events selected.
}
redeliver-more = Only the most recent matches are included. To redeliver more, replay events from the subscription's page.
redeliver-none = No events selected. Go back to the list and select events, or search for a type.
redeliver-to = Subscription
redeliver-to-hint = Enter a name or an ID.
redeliver-preview = Preview
redeliver-counted = { $n ->
    [0] No events will be delivered to { $name }.
    [one] 1 event will be delivered to { $name }.
   *[other] { $n } events will be delivered to { $name }.
}
redeliver-unfinished = { $n ->
    [one] 1 event is skipped: it already has an unfinished delivery.
   *[other] { $n } events are skipped: they already have unfinished deliveries.
}
redeliver-unmatched = { $n ->
    [one] 1 event does not match this subscription. It is delivered anyway, because you selected it.
   *[other] { $n } events do not match this subscription. They are delivered anyway, because you selected them.
}
redeliver-start = Redeliver events
redeliver-checked = Redeliver selected
redeliver-found = Redeliver all results
redeliver-done = { $n ->
    [0] No deliveries created.
    [one] 1 delivery created.
   *[other] { $n } deliveries created.
}
redeliver-skipped = { $n ->
    [one] 1 event was skipped: it already has an unfinished delivery, or it is no longer in the log.
   *[other] { $n } events were skipped: they already have unfinished deliveries, or they are no longer in the log.
}
select = Select
reason-unfinished = already has an unfinished delivery

editor-already-submitted = This form was already submitted with other settings, and created a subscription. Submit it again to create another one.
picker-seen = { $n ->
    [one] 1 event so far
   *[other] { $n } events so far
}
picker-more = The log has more than are shown here. To use others, enter patterns.
sentence-group-part = { $n } { $group } events

why-cancelled-manually = cancelled manually
why-deleted = the subscription { $name } was deleted on { $at } UTC
why-deleted-long-ago = the subscription was deleted
why-disabled-manually = held since { $at } UTC: the subscription was disabled manually
why-disabled-failing = held since { $at } UTC: the subscription was disabled because attempts failed, the last with { $detail }
why-retry-after = paused until { $at } UTC: the receiver asked for it (Retry-After)
why-probe = waits until the receiver recovers: { $probe } tests it
why-due = attempt { $n } is due at { $at } UTC
why-queued = queued: { $n } requests to this receiver are in flight
due-reason = { $wait } after attempt { $n } ended, as set by the retry schedule or the receiver's Retry-After header.
disabled-response = { $detail } from { $host }
failing-since = Attempts have failed since { $at } UTC.
field-last-success = Last success
field-last-failure = Last failure
chart-older = older
chart-newest = newest
chart-success-count = { $n } of { $of } delivered
chart-duration-summary = median { $half }, longest { $longest }
chart-hour-ago = 1 hour ago
chart-day-ago = 1 day ago
chart-axis-now = now
overview-healthy = No problems

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
problem-empty-span = is not after since: nothing would be delivered
problem-ambiguous-name = several subscriptions are named '{ $text }': enter the ID (sub_…) instead
problem-not-found = there is no { $what } '{ $id }'
problem-role = the key '{ $name }' has the role { $role }: log in with a key that has the role admin
problem-managed-by-config = subscription '{ $name }' is managed by the config file: change it there and reload
problem-outdated = the subscription { $id } has changed since you read it: read it again, then repeat the change
problem-replays-many = the limit api.replays_running_max is reached: wait for a replay to finish, or stop one
problem-key-reused = this idempotency key was used with another body: use a new key for a new request
problem-no-subscription = the subscription { $id } of this delivery is deleted
problem-delivery-in-flight = a request of { $id } is in flight: wait until it ends
problem-no-event = the event { $id } of this delivery is no longer in the log
problem-ended = { $id } has already ended: it is { $state }
problem-disabled-again = { $id } was disabled again during the health check: read it again, then enable it
problem-created-then-deleted = { $id }, which was created with this idempotency key, has been deleted
problem-secrets = { $count } secrets would sign side by side, more than the { $most } that are allowed: wait, or rotate with a grace of "0ms" to revoke all earlier secrets immediately
problem-secrets-until = { $count } secrets would sign side by side, more than the { $most } that are allowed: wait until { $end }, when the first of them expires, or rotate with a grace of "0ms" to revoke all earlier secrets immediately

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
