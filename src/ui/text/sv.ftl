# Sidans ord på svenska. Ett test ser till att språken har samma meddelanden.

skip = Hoppa till innehållet
nav = Sidans delar
nav-overview = Översikt
nav-subscriptions = Prenumerationer
nav-deliveries = Leveranser
nav-events = Händelser
nav-live = Direkt
to-overview = Till översikten
see-all = Visa alla
copy = Kopiera
copied = Kopierat
cancel = Avbryt
save = Spara ändringar
create = Skapa prenumeration
check = Kontrollera
edit = Redigera
enable = Slå på
disable = Slå av
delete = Ta bort
retry = Försök igen nu
next-page = Äldre
nothing-found = Inget stämmer med sökningen.
nothing-found-yet = Inget i den del av loggen som genomsöktes. Äldre fortsätter därifrån.

ago-now = nyss
ago-seconds = för { $n } s sedan
ago-minutes = { $n ->
    [one] för 1 minut sedan
   *[other] för { $n } minuter sedan
}
ago-hours = { $n ->
    [one] för 1 timme sedan
   *[other] för { $n } timmar sedan
}
ago-days = { $n ->
    [one] för 1 dag sedan
   *[other] för { $n } dagar sedan
}
in-time = om { $time }
duration-days = { $n } d

state-pending = Väntar
state-in-flight = Skickas
state-succeeded = Levererad
state-exhausted = Misslyckad
state-held = Hålls kvar
state-cancelled = Avbruten

health-healthy = Frisk
health-failing = Sviktar
health-disabled = Avstängd
health-off = Avslagen

error-dns = Adressen finns inte
error-forbidden-address = Adressen är inte tillåten
error-connect = Ingen kontakt
error-tls = Ingen säker kontakt
error-timeout = Inget svar i tid
error-protocol = Inte ett HTTP-svar
error-internal = Ett fel i tjänsten

format-standard = Standard Webhooks
format-blue = Blue
format-raw = Bara datan
format-cloudevents = CloudEvents
ordering-none = Så fort som möjligt
ordering-fifo = En i taget, i ordning

page-error-not-found = Här finns inget
page-error-forbidden = Inte tillåtet
page-error-conflict = Inte möjligt just nu
page-error-request = Det gick inte att förstå
page-error-internal = Något gick fel på insidan
page-error-token = Formuläret är från tiden före tjänstens senaste start, eller från en annan inloggning. Läs in sidan på nytt och skicka det igen.
page-error-read-only = Den här nyckeln får se allt men inte ändra något.

login-title = Logga in
login-lead = Tjänsten skyddas av nycklar.
login-key = Nyckel
login-submit = Logga in
login-unknown = Nyckeln är okänd här.
login-ingest = Nyckeln { $name } får bara skicka in händelser. För att titta krävs en nyckel med rollen read eller admin.
login-hint = En ny nyckel, och raderna till konfigurationsfilen, skapas med:
logout = Logga ut { $name }

welcome-title = Här har inget hänt ännu
welcome-lead = Postrider tar emot händelser från dina program och levererar var och en, signerad, till alla som vill ha den. Tre steg till din första webhook:
welcome-one = Ange vem som ska få veta
welcome-one-lead = En prenumeration är en adress och de händelser som den vill ha.
welcome-two = Skicka en händelse
welcome-two-lead = Från vilket program som helst, eller från en terminal:
welcome-three = Se den komma fram
welcome-three-lead = Här, och under Leveranser: varje försök, vad som svarades och vad som sker härnäst.

overview-numbers = I siffror
overview-of = { $n ->
    [one] av 1 prenumeration
   *[other] av { $n } prenumerationer
}
overview-failing = senaste försöket misslyckades
overview-off = { $n } av dem för hand
overview-waiting = på sin tur eller ett nytt försök
overview-held = går ut när den slås på
overview-exhausted = { $n } misslyckade för gott
overview-unhealthy = Behöver uppmärksamhet
overview-recent = Senaste leveranserna
unhealthy-disabled = avstängd { $ago }: { $detail }
unhealthy-failing = det första felet var { $ago }
waiting-count = { $n } väntar
oldest-waiting = den äldsta { $ago }

col-state = Tillstånd
col-event = Händelse
col-subscription = Prenumeration
col-answer = Svar
col-attempts = Försök
col-duration = Tog
col-when = När
col-health = Hälsa
col-name = Namn
col-matches = Vill ha
col-waiting = Väntar

filter-any = Alla
filter-submit = Sök
filter-clear = Rensa
filter-name = Namn eller adress
filter-health = Hälsa
filter-type = Händelsetyp
filter-project = Projekt
filter-company = Företag
filter-sender-id = Avsändarens id
filter-event-id = Händelsens id
filter-since = Från (UTC)
filter-until = Till (UTC)
filter-more = Fler filter
filter-invalid = Det som söktes kan inte läsas. Se fälten ovan.

deliveries-title = Leveranser
deliveries-none = Inget har levererats ännu
deliveries-empty = En leverans skapas för varje prenumeration som vill ha en händelse. Skicka en:
events-none = Inga händelser ännu
events-empty = Program skickar händelser över HTTP. Prova från en terminal:
subscriptions-empty = Ingen vill få veta något ännu
subscriptions-empty-lead = En prenumeration är en adress och exakt den kombination av händelsetyper och projekt som den vill ha. Varje sådan händelse levereras dit, signerad, och försöks igen om det misslyckas.

subscription-new = Ny prenumeration
subscription-no-deliveries = Inget har varit på väg hit ännu. Skicka en händelse som den vill ha:
recent-deliveries = Senaste leveranserna
chart-attempts = Hur lång tid de senaste försöken tog
chart-legend-succeeded = levererade
chart-legend-failed = misslyckade
owned-by-config = Den här prenumerationen kommer från konfigurationsfilen. Ändra den där under [[subscriptions]] och läs in på nytt; här kan den slås på och av.
filter-errors = { $n ->
    [one] Filtret misslyckades på 1 händelse, som därför inte passade.
   *[other] Filtret misslyckades på { $n } händelser, som därför inte passade.
}

disabled-manual = Avslagen för hand { $at } UTC: den får inga nya händelser.
disabled-gone = Avstängd { $at } UTC: mottagaren svarade att den är borta för gott (410).
disabled-exhausted = Avstängd { $at } UTC när försöken för en leverans var slut: { $detail }.
disabled-held = { $n ->
    [0] Inget hålls kvar.
    [one] 1 leverans hålls kvar; inget är förlorat.
   *[other] { $n } leveranser hålls kvar; inget är förlorat.
}
failing-text = Det senaste försöket misslyckades. Det görs om enligt schemat; de andra väntar så länge, och inget är förlorat.
enable-unchecked = Det som hålls kvar går ut, äldst först.
enable-checked = Först skickas en signerad hälsokontroll. Besvaras den med 2xx går det som hålls kvar ut, äldst först.

field-matches = Vad den får
setting-url = Adress
setting-name = Namn
setting-events = Händelser
setting-projects = Projekt
field-terms = Termer
setting-filter = Filter
setting-format = Innehåll
setting-ordering = Ordning
setting-timeout = Tidsgräns för ett försök
setting-retry-schedule = Väntan mellan försök
setting-max-in-flight = Anrop samtidigt
setting-rate-limit = Som mest
setting-notify-email = E-post till
setting-headers = Egna huvuden
setting-tls-ca = Betrodda utfärdare
setting-tls-client-cert = Klientcertifikat
setting-tls-client-key = Klientcertifikatets privata nyckel
field-id = Id
field-changed = Ändrad
field-why = Varför
field-due = Nästa försök
field-accepted = Mottagen
field-occurred = Hände

setting-url-help = Dit varje händelse skickas, med POST.
setting-name-help = För människor. Lämnas det tomt blir det adressens värdnamn.
setting-notify-email-help = Vem som får e-post om hur den mår, om tjänsten är inställd på att skicka sådan. Kan lämnas tomt.
setting-events-help = En per rad: TODO_CREATED, TODO_* för alla som börjar så, * för alla; !TODO_DELETED tar bort.
setting-projects-help = En per rad: website, acme/website, acme/* för ett helt företag, * för alla; !acme/secret tar bort.
setting-filter-help = Ett uttryck i CEL över event som också måste vara sant, till exempel event.data.amount > 100
setting-retry-schedule-none = inga: varje leverans försöks en gång
setting-retry-schedule-help = Första försöket görs genast; varje väntan följs av ett till.
setting-format-help = Formatet på det som skickas.
setting-ordering-help = I ordning betyder att en leverans som försöks igen håller tillbaka dem som kommer efter.
setting-timeout-help = Från anslutning till svarets slut. Lämnas fältet tomt gäller delivery.timeout i konfigurationen.
setting-max-in-flight-help = Lämnas fältet tomt gäller delivery.max_in_flight_per_subscription i konfigurationen.
setting-rate-limit-help = Försök per sekund (50/s), minut (100/m) eller timme (1000/h). Lämnas fältet tomt finns ingen gräns.
setting-headers-help = Läggs till i varje anrop. Skriv en per rad, som namn: värde.
setting-tls-ca-help = PEM för de enda utfärdare som mottagarens certifikat får komma från. Lämnas fältet tomt gäller systemets utfärdare.
setting-tls-client-cert-help = PEM för certifikatet som visas för mottagaren, och för dess mellanliggande certifikat.
setting-tls-client-key-help = PEM utan lösenord. Nyckeln visas aldrig. Lämna fältet tomt för att behålla den nuvarande nyckeln.

edit-title = Redigera { $name }
editor-filter = Bara om innehållet stämmer (filter)
editor-more = Innehåll, ordning, nya försök och gränser
editor-tls = TLS till mottagaren
editor-problems = { $n ->
    [one] Ett fält behöver ses över.
   *[other] { $n } fält behöver ses över.
}
events-mode-all = Allt, även det som tillkommer
events-mode-only = Bara dessa
events-mode-except = Allt utom dessa
events-mode-terms = Skrivet för hand
projects-mode-all = Alla projekt, även nya
projects-mode-only = Bara dessa
projects-mode-except = Alla projekt utom dessa
projects-mode-terms = Skrivet för hand
picker-search = Hitta
picker-all = Alla
picker-none = Inga
picker-other = Andra händelser
picker-no-company = Utan företag
picker-company = Alla projekt hos { $company }
picker-nothing = Välj minst en, eller välj allt ovan.
picker-no-types = Inga händelsetyper är kända ännu. De visas här när händelser har kommit, eller när konfigurationsfilen räknar upp dem under [[event_types]].
picker-no-projects = Inga projekt är kända ännu. De visas här när händelser har kommit, eller när konfigurationsfilen räknar upp dem under [[projects]].

preview-title = Prövat på de senaste händelserna
preview-count = { $n } av de senaste { $of } hade levererats.
preview-none = Ingen händelse har kommit ännu att pröva med.
preview-match = skulle levereras
preview-invalid = Detta visas när fälten bredvid stämmer.

reason-events = typen är inte önskad
reason-projects = projektet är inte önskat
reason-filter = filtret är inte sant
reason-filter-failed = filtret misslyckades: { $detail }
reason-disabled = avslagen för hand
reason-matches-now = skulle få den nu; inte när händelsen kom

sentence = { $what }, { $place }.
sentence-everything = allt som händer
sentence-group = alla { $n } händelser i { $group }
sentence-prefix = allt som börjar med { $prefix } ({ $known } kända)
sentence-more-types = { $n ->
    [one] 1 händelsetyp till
   *[other] { $n } händelsetyper till
}
sentence-every-project = alla projekt
sentence-company = alla projekt hos { $company }
sentence-in = i { $places }
sentence-more-projects = { $n ->
    [one] 1 projekt till
   *[other] { $n } projekt till
}
sentence-except = { $base } utom { $excluded }
sentence-list = { $first } och { $last }

secret-title = Signeringshemligheten, visas bara nu
secret-lead = Ge den till den som sköter mottagaren: med den kontrolleras att ett anrop är ditt. Den kan inte visas igen.
secret-verify = Så kontrollerar mottagaren ett anrop
secret-other-language = Annat språk
secret-signature = Vilket Standard Webhooks-bibliotek som helst duger. Huvudet webhook-signature innehåller v1, och sedan:

delete-title = Ta bort { $name }?
delete-lead = Det går inte att ångra.
delete-unfinished = { $n ->
    [0] Ingen leverans är oavslutad.
    [one] 1 oavslutad leverans avbryts.
   *[other] { $n } oavslutade leveranser avbryts.
}
delete-secret = Signeringshemligheten försvinner för gott.
delete-log = Det som levererats finns kvar i loggen så länge loggen sparas.
delete-confirm = Ta bort för gott

retry-lead = Nu, med ett helt schema av nya försök framför sig. Redan gjorda försök finns kvar.
timeline = Vad som hände
timeline-accepted = Mottagen och säkert lagrad
timeline-attempt = Försök { $n }
timeline-next = Försök { $n } kommer härnäst
timeline-headers = Anropets huvuden
timeline-signature = Enligt nuvarande inställningar; samt webhook-signature (i formatet Blue även x-signature), som skapas för varje försök och inte sparas.

payload = Innehåll
payload-none = Händelsen har ingen data.
payload-formatted = Uppställt
payload-raw = Som det skickades in
event-matched = { $n ->
    [0] Ingen ville ha den
    [one] 1 prenumeration ville ha den
   *[other] { $n } prenumerationer ville ha den
}
event-unmatched = Ingen prenumeration passade när den kom. Nedan står varför.
event-others = Vilka som inte fick den, och varför
event-others-lead = Enligt varje prenumerations nuvarande inställningar.
event-others-more = och { $n } till

notice-created = Prenumerationen är skapad.
notice-changed = Sparat. Det gäller för varje händelse från och med nu.
notice-enabled = Påslagen.
notice-enabled-checked = Hälsokontrollen gick bra: den är påslagen, och det som hölls kvar går ut.
notice-check-failed = Hälsokontrollen misslyckades, så den förblir avstängd.
notice-disabled = Avslagen. Den får inga nya händelser förrän den slås på.
notice-deleted = Borttagen.
notice-retried = Det görs ett nytt försök nu.
notice-refused = Det gick inte:
notice-answer = Mottagaren svarade { $answer } efter { $length }.

cancel-delivery = Ge upp
send-test = Skicka ett test
notice-cancelled = Uppgiven: inga fler försök görs.
notice-tested = Ett signerat prov har skickats.
notice-rotated = Hemligheten är utbytt.
field-old-secret = Äldre hemlighet
secret-until = signerar till { $at } UTC
rotate = Byt hemlighet
rotate-lead = En ny hemlighet skapas och visas en gång. En tid signerar båda varje anrop, så att mottagaren kan byta utan att missa något.
rotate-grace = Den gamla fortsätter signera i
rotate-hour = en timme
rotate-day = ett dygn
rotate-week = en vecka
rotate-none = ingen tid alls
rotate-submit = Skapa en ny hemlighet

overview-charts = Diagram
chart-hour = Försök senaste timmen
chart-day = Försök senaste dygnet
chart-durations = Hur lång tid de tog, senaste timmen
chart-mean = i snitt
chart-longest = längst
chart-last-minute = Senaste minuten
chart-rates = Nu
chart-accepted = { $n ->
    [one] 1 händelse
   *[other] { $n } händelser
}
chart-succeeded = { $n } levererade
chart-failed = { $n } misslyckade
rate-events = händelser per sekund
rate-attempts = försök per sekund
rate-accept = att lagra en händelse (99 %)
rate-first = till första försöket (99 %)

live-lead = Händelser, försök och ändringar av prenumerationer medan de sker. De nyaste står överst.
live-open = lyssnar
live-closed = inte ansluten
live-pause = Pausa
live-resume = Fortsätt
live-script = Den här delen behöver JavaScript. Samma sak visas, när sidan läses in igen, under
live-empty = Inget har hänt sedan sidan öppnades. Skicka en händelse:
live-col-change = Vad
live-col-object = Vilken
live-col-detail = Detalj
live-accepted = Händelse mottagen
live-matched = prenumerationer vill ha den
live-matched-one = prenumeration vill ha den
live-attempt = Försök
live-gap = En del av det som hände missades.
live-created = Prenumeration skapad
live-settings = Inställningar ändrade
live-health = Hälsan ändrad
live-deleted = Prenumeration borttagen
secret-private = Detta är den privata halvan, som stannar hos den som signerar. Mottagare kontrollerar med den publika halvan, som prenumerationen visar.
field-public-key = Publik nyckel

replay = Leverera igen
replay-title = Leverera igen till { $name }
replay-lead = Loggen har kvar det som hänt. Välj en del av den: allt i den som prenumerationen vill ha går ut en gång till, även det som kom innan prenumerationen fanns. Inget skickas förrän du har sett hur mycket det är.
replay-off = Prenumerationen är avstängd: det som skapas nu hålls kvar tills den slås på.
replay-quick = Allt från
replay-hour = senaste timmen
replay-day = senaste dygnet
replay-week = senaste veckan
replay-all = hela loggen
replay-events = Vilka händelser
replay-state-any = Alla som den vill ha nu
replay-state-succeeded = De som levererades
replay-state-exhausted = De vars leverans misslyckades för gott
replay-state-cancelled = De vars leverans avbröts
replay-span-hint = En tid som lämnas tom är loggens början, eller nu.
replay-count = Räkna först
replay-counted = { $n ->
    [0] Det finns inget att leverera igen.
    [one] 1 händelse skulle levereras igen.
   *[other] { $n } händelser skulle levereras igen.
}
replay-counted-part = Fler än { $n } händelser skulle levereras igen; det tog för lång tid att räkna dem alla.
replay-explanation = Var och en får en ny leverans, äldst först, i steg som lämnar plats för nya händelser. Det fortsätter om tjänsten startas om, och kan stoppas.
replay-start = Leverera igen nu
replay-events-hint = Enstaka händelser, eller alla av en typ, väljs under
replays-title = Omleveranser
replays-none = Inget har levererats igen
replays-empty = En del av loggen levereras igen till en prenumeration från prenumerationens sida.
replay-progress = { $n } av { $of } genomgångna
replay-created = { $n ->
    [one] 1 leverans skapad.
   *[other] { $n } leveranser skapade.
}
replay-skipped = { $n ->
    [0] {""}
    [one] 1 händelse hoppades över: den är redan på väg.
   *[other] { $n } händelser hoppades över: de är redan på väg.
}
replay-period = Från tiden
replay-span = { $since } till { $until } UTC
replay-from-beginning = loggens början
replay-started = Påbörjad
replay-finished = Avslutad
replay-deliveries = Dess leveranser
replay-stop = Stoppa
replay-col-created = Skapade
job-running = Pågår
job-done = Klar
job-cancelled = Stoppad
job-failed = Misslyckad
notice-replay-started = Den har börjat och fortsätter av sig själv.
notice-replay-cancelled = Stoppad. Det som hann skapas går ut.

redeliver = Leverera igen
redeliver-title = Leverera valda händelser igen
redeliver-selected = { $n ->
    [one] 1 händelse är vald.
   *[other] { $n } händelser är valda.
}
redeliver-more = Det är de nyaste som passar; för fler, leverera en prenumerations historia igen från dess sida.
redeliver-none = Ingen händelse är vald. Kryssa för några i listan, eller sök på en typ, och fortsätt därifrån.
redeliver-to = Till vilken prenumeration
redeliver-to-hint = Dess namn, eller dess id.
redeliver-preview = Se vad som skulle hända
redeliver-counted = { $n ->
    [0] Inget skulle gå till { $name }.
    [one] 1 händelse skulle gå till { $name }.
   *[other] { $n } händelser skulle gå till { $name }.
}
redeliver-unfinished = { $n ->
    [one] 1 är redan på väg dit och hoppas över.
   *[other] { $n } är redan på väg dit och hoppas över.
}
redeliver-unmatched = { $n ->
    [one] 1 av dem är inte vad prenumerationen ber om. Den går dit ändå, eftersom du valde den.
   *[other] { $n } av dem är inte vad prenumerationen ber om. De går dit ändå, eftersom du valde dem.
}
redeliver-start = Leverera igen nu
redeliver-checked = Leverera de ikryssade igen
redeliver-found = Leverera hela sökningen igen
redeliver-done = { $n ->
    [0] Inget levererades igen.
    [one] 1 ny leverans är skapad.
   *[other] { $n } nya leveranser är skapade.
}
redeliver-skipped = { $n ->
    [one] 1 händelse hoppades över: den är redan på väg, eller finns inte kvar i loggen.
   *[other] { $n } händelser hoppades över: de är redan på väg, eller finns inte kvar i loggen.
}
select = Välj
reason-unfinished = redan på väg

editor-already-submitted = Formuläret har redan skickats, med andra inställningar, och skapade då en prenumeration. Skicka det en gång till om en till är avsedd.
picker-seen = { $n ->
    [one] 1 händelse hittills
   *[other] { $n } händelser hittills
}
picker-more = Loggen har fler än de som visas här. Skriv de andra för hand.
sentence-group-part = { $n } händelser i { $group }

why-cancelled-manually = avbruten för hand
why-deleted = dess prenumeration { $name } togs bort { $at } UTC
why-deleted-long-ago = dess prenumeration är borttagen
why-disabled-manually = hålls kvar sedan { $at } UTC: avslagen för hand
why-disabled-failing = hålls kvar sedan { $at } UTC: avstängd för sina svar, det sista { $detail }
why-retry-after = mottagaren bad om att lämnas i fred till { $at } UTC
why-probe = väntar tills mottagaren svarar igen; { $probe } frågar den
why-due = försök { $n } görs { $at } UTC
why-queued = väntar på sin tur; { $n } är ute hos mottagaren
due-reason = { $wait } efter att försök { $n } slutade: väntetiden i schemat, eller längre om mottagaren bad om det (Retry-After).
disabled-response = { $detail } från { $host }
failing-since = Försök misslyckas sedan { $at } UTC.
field-last-success = Senast levererad
field-last-failure = Senast misslyckad
chart-older = äldre
chart-newest = nyast
chart-success-count = { $n } av { $of } levererade
chart-duration-summary = hälften tog högst { $half }, det längsta { $longest }
chart-hour-ago = för en timme sedan
chart-day-ago = för ett dygn sedan
chart-axis-now = nu
overview-healthy = I god ordning

problem-name = måste vara 1 till { $most } skrivbara tecken
problem-name-empty = är tomt: { $what } har 1 till { $most } tecken
problem-name-long = har { $bytes } byte: { $what } har högst { $most }
problem-name-character = "{ $text }" innehåller { $character }: { $what } består av { $allowed }
problem-term-star = "{ $text }" har en * på fel plats: { $place }
problem-term-excludes-all = !* tar bort allt: för att inte få något, stäng av prenumerationen
problem-terms-empty = är en tom lista, som kan betyda inget eller allt: utelämna den (eller skriv *) för allt, stäng av prenumerationen för inget
problem-terms-many = har { $count } termer, fler än { $most }
problem-time = "{ $text }" är inte en tid efter 1970 enligt RFC 3339, som 2026-01-31T08:00:00.000Z
problem-interval = "{ $text }" är inte en tidslängd som 250ms, 5s, 2m, 24h eller 30d
problem-id = "{ $text }" är inte { $what }: det ska vara { $prefix } och 26 bokstäver och siffror
problem-word = "{ $text }" är inget av { $words }
problem-state = "{ $text }" är inte ett tillstånd för en leverans: det ska vara något av { $words }
problem-rate = "{ $text }" är inte en takt som 50/s, 100/m eller 1000/h
problem-email = "{ $text }" är ingen e-postadress, som ops@acme.example
problem-filter = rad { $line }, kolumn { $column }: { $message }
problem-filter-token = rad { $line }, kolumn { $column }: "{ $token }" { $message }
problem-address = { $address } är { $why } och får inte anropas: lägg till dess nätverk i `delivery.allow_networks` för att tillåta det
problem-address-inside = { $address } är { $why } (den står för { $inside }) och får inte anropas: lägg till dess nätverk i `delivery.allow_networks` för att tillåta det
problem-url-missing = saknas: ange den http- eller https-adress som leveranserna går till
problem-url-relative = "{ $text }" är inte en hel adress: börja den med https:// eller http://
problem-url = "{ $text }" är inte en adress: { $cause }
problem-url-scheme = "{ $text }" börjar med { $scheme }: det ska vara http eller https
problem-url-fragment = "{ $text }" har en del efter #, som aldrig skickas: utelämna den
problem-long = har { $bytes } byte, fler än { $most }
problem-headers-many = har { $count } huvuden, fler än { $most }
problem-header-name = är inte namnet på ett HTTP-huvud
problem-header-reserved = sätts av tjänsten eller av HTTP självt: välj ett annat namn
problem-header-value = har ett värde som inte är högst { $most } synliga ASCII-tecken och mellanslag
problem-timeout = "{ $timeout }" är inte mellan 100ms och 60s
problem-retries-many = har { $count } väntetider, fler än { $most }
problem-retry-long = "{ $wait }" är längre än 7d
problem-in-flight = { $text } är inte ett heltal från 1 till { $most }
problem-email = "{ $text }" är inte en e-postadress som ops@acme.example
problem-span = är inte efter början: inget skulle levereras
problem-several = flera heter "{ $text }": ange id, sub_…
problem-no-such = { $what } "{ $id }" finns inte
problem-role = nyckeln "{ $name }" har rollen { $role }: detta kräver admin
problem-of-config = prenumerationen "{ $name }" kommer från konfigurationsfilen: ändra den där och läs in på nytt
problem-outdated = prenumerationen { $id } har ändrats under tiden: hämta den på nytt
problem-replays-many = så många omleveranser pågår som api.replays_running_max tillåter: vänta på en, eller stoppa den
problem-key-reused = formuläret har redan skickats med annat innehåll: läs in sidan igen
problem-no-subscription = leveransens prenumeration { $id } är borttagen
problem-is-attempted = ett försök med { $id } pågår just nu: vänta på svaret
problem-no-event = leveransens händelse { $id } finns inte längre i loggen
problem-ended = { $id } är redan avslutad: den är { $state }
problem-switched-off = { $id } har stängts av på nytt: se efter igen, och slå sedan på den
problem-made-and-deleted = { $id }, som skapades av detta formulär, har tagits bort
problem-secrets = { $count } hemligheter skulle signera sida vid sida, fler än { $most }: vänta, eller byt utan att de äldre fortsätter signera
problem-secrets-until = { $count } hemligheter skulle signera sida vid sida, fler än { $most }: den första slutar { $end }: vänta, eller byt utan att de äldre fortsätter signera

phrase-is-missing-here = saknas här
phrase-the-expression-ends-too-early = uttrycket slutar för tidigt
phrase-is-not-part-of-an-expression = hör inte hemma i ett uttryck
phrase-is-not-expected-here = väntas inte här
phrase-an-event-type = en händelsetyp
phrase-a-project-id = ett projekt-id
phrase-a-company-id = ett företags-id
phrase-an-event-s-own-id = en händelses eget id
phrase-visible-ascii-characters = synliga ASCII-tecken
phrase-it-may-only-be-the-last-character-as-in-todo-or = den får bara vara det sista tecknet, som i TODO_* eller *
phrase-a-project-is-written-website-acme-website-acme-or = ett projekt skrivs website, acme/website, acme/* eller *
phrase-an-event-id = ett händelse-id
phrase-a-subscription-id = ett prenumerations-id
phrase-a-delivery-id = ett leverans-id
phrase-a-replay-id = ett omleverans-id
phrase-subscription = prenumerationen
phrase-delivery = leveransen
phrase-event = händelsen
phrase-replay = omleveransen
phrase-succeeded = levererad
phrase-exhausted = misslyckad för gott
phrase-cancelled = avbruten
phrase-done = klar
phrase-failed = misslyckad
phrase-empty-host = värdnamnet saknas
phrase-invalid-port-number = ogiltigt portnummer
phrase-invalid-international-domain-name = ogiltigt internationellt domännamn
phrase-invalid-ipv4-address = ogiltig IPv4-adress
phrase-invalid-ipv6-address = ogiltig IPv6-adress
phrase-unspecified = ospecificerad
phrase-of-this-network = i detta nätverk
phrase-private = privat
phrase-of-a-carrier-s-nat = bakom en operatörs NAT
phrase-loopback = datorns egen (loopback)
phrase-cloud-metadata = till molnets metadata
phrase-link-local-cloud-metadata = länklokal (molnets metadata)
phrase-reserved-for-protocols = reserverad för protokoll
phrase-for-documentation = till för dokumentation
phrase-a-6to4-relay = ett 6to4-relä
phrase-for-benchmarking = till för prestandamätning
phrase-multicast = multicast
phrase-broadcast = broadcast
phrase-reserved = reserverad
phrase-local-use-nat64 = lokal NAT64
phrase-discard-only = till för att kastas
phrase-unique-local-private = unikt lokal (privat)
phrase-site-local = platslokal
