# Sidans meddelanden på svenska. Ett test kontrollerar att alla språk har samma meddelanden.

skip = Hoppa till innehållet
nav = Huvudnavigering
nav-overview = Översikt
nav-subscriptions = Prenumerationer
nav-deliveries = Leveranser
nav-events = Händelser
nav-live = Realtid
to-overview = Gå till översikten
see-all = Visa alla
copy = Kopiera
copied = Kopierat
cancel = Avbryt
save = Spara ändringar
create = Skapa prenumeration
check = Kontrollera inställningarna
edit = Redigera
enable = Slå på
disable = Stäng av
delete = Ta bort
retry = Försök igen
next-page = Äldre
nothing-found = Inga träffar.
nothing-found-yet = Inga träffar i den del av loggen som har genomsökts. Välj Äldre för att söka vidare.

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
state-held = Vilande
state-cancelled = Avbruten

health-healthy = Fungerar
health-failing = Problem
health-disabled = Avstängd
health-off = Avstängd manuellt

error-dns = Värdnamnet kunde inte slås upp
error-forbidden-address = Otillåten adress
error-connect = Anslutningen misslyckades
error-tls = TLS-anslutningen misslyckades
error-timeout = Inget svar inom tidsgränsen
error-protocol = Ogiltigt HTTP-svar
error-internal = Internt fel

format-standard = Standard Webhooks
format-blue = Blue
format-raw = Endast data
format-cloudevents = CloudEvents
ordering-none = Så snabbt som möjligt
ordering-fifo = I ordning, en i taget

page-error-not-found = Sidan hittades inte
page-error-forbidden = Åtkomst nekad
page-error-conflict = Ändringen kan inte göras just nu
page-error-request = Ogiltig begäran
page-error-internal = Internt fel
page-error-token = Formuläret gäller inte längre: tjänsten har startats om eller så har du loggat in på nytt. Ladda om sidan och skicka formuläret igen.
page-error-read-only = Din nyckel har rollen read och kan inte ändra något. Logga in med en nyckel som har rollen admin.

login-title = Logga in
login-lead = Logga in med en API-nyckel.
login-key = Nyckel
login-submit = Logga in
login-unknown = Okänd nyckel. Kontrollera att hela nyckeln kom med.
login-ingest = Nyckeln { $name } har rollen ingest och kan bara skicka in händelser. Logga in med en nyckel som har rollen read eller admin.
login-hint = Så skapar du en nyckel och raderna till konfigurationsfilen:
logout = Logga ut { $name }

welcome-title = Inga händelser än
welcome-lead = Postrider tar emot händelser från dina program och levererar varje händelse, signerad, till alla prenumerationer som matchar. Skicka din första webhook i tre steg:
welcome-one = Skapa en prenumeration
welcome-one-lead = En prenumeration har en adress och anger vilka händelser som ska levereras dit.
welcome-two = Skicka en händelse
welcome-two-lead = Från valfritt program eller från en terminal:
welcome-three = Följ leveransen
welcome-three-lead = Den här sidan och Leveranser visar varje försök, svaret och när nästa försök görs.

overview-numbers = Totalt
overview-of = { $n ->
    [one] av 1 prenumeration
   *[other] av { $n } prenumerationer
}
overview-failing = senaste försöket misslyckades
overview-off = varav { $n } avstängda manuellt
overview-waiting = väntar på ett första eller nytt försök
overview-held = skickas när prenumerationen slås på
overview-exhausted = { $n } misslyckade
overview-unhealthy = Behöver åtgärdas
overview-recent = Senaste leveranserna
unhealthy-disabled = avstängd { $ago }: { $detail }
unhealthy-failing = första felet { $ago }
waiting-count = { $n } väntar
oldest-waiting = äldst { $ago }

col-state = Status
col-event = Händelse
col-subscription = Prenumeration
col-answer = Svar
col-attempts = Försök
col-duration = Svarstid
col-when = Tid
col-health = Status
col-name = Namn
col-matches = Matchar
col-waiting = Väntar

filter-any = Alla
filter-submit = Sök
filter-clear = Rensa
filter-name = Namn eller adress
filter-health = Status
filter-type = Händelsetyp
filter-project = Projekt
filter-company = Företag
filter-sender-id = Avsändarens id
filter-event-id = Händelse-id
filter-since = Från (UTC)
filter-until = Till (UTC)
filter-more = Fler filter
filter-invalid = Sökningen är ogiltig. Rätta de markerade fälten ovan.

deliveries-title = Leveranser
deliveries-none = Inga leveranser än
deliveries-empty = Varje prenumeration som matchar en händelse får en leverans. Skicka en händelse:
events-none = Inga händelser än
events-empty = Program skickar händelser över HTTP. Prova från en terminal:
subscriptions-empty = Inga prenumerationer än
subscriptions-empty-lead = En prenumeration har en adress och väljer händelser efter typ och projekt. Postrider signerar varje händelse som matchar, levererar den till adressen och försöker igen om leveransen misslyckas.

subscription-new = Ny prenumeration
subscription-no-deliveries = Inga leveranser till den här prenumerationen än. Skicka en händelse som matchar:
recent-deliveries = Senaste leveranserna
chart-attempts = Svarstid för de senaste försöken
chart-legend-succeeded = levererade
chart-legend-failed = misslyckade
owned-by-config = Den här prenumerationen hanteras av konfigurationsfilen. Ändra den där under [[subscriptions]] och ladda om. Här kan du slå på och stänga av den.
filter-errors = { $n ->
    [one] Filtret gav fel på 1 händelse, som därför inte matchade.
   *[other] Filtret gav fel på { $n } händelser, som därför inte matchade.
}

disabled-manual = Avstängd manuellt { $at } UTC. Nya händelser levereras inte hit.
disabled-gone = Avstängd { $at } UTC: mottagaren svarade att den inte längre finns (410).
disabled-exhausted = Avstängd { $at } UTC sedan alla försök för en leverans misslyckats: { $detail }.
disabled-held = { $n ->
    [0] Det finns inga vilande leveranser.
    [one] 1 leverans är vilande. Inget går förlorat.
   *[other] { $n } leveranser är vilande. Inget går förlorat.
}
failing-text = Det senaste försöket misslyckades. Postrider försöker igen enligt schemat och övriga leveranser väntar. Inget går förlorat.
enable-unchecked = Vilande leveranser skickas, äldst först.
enable-checked = Postrider skickar först en signerad hälsokontroll. Om mottagaren svarar med 2xx skickas vilande leveranser, äldst först.

field-matches = Matchar
setting-url = Adress (URL)
setting-name = Namn
setting-events = Händelser
setting-projects = Projekt
field-terms = Mönster
setting-filter = Filter
setting-format = Format
setting-ordering = Ordning
setting-timeout = Tidsgräns per försök
setting-retry-schedule = Schema för nya försök
setting-max-in-flight = Samtidiga anrop
setting-rate-limit = Högsta takt
setting-notify-email = E-post för aviseringar
setting-headers = Egna headers
setting-tls-ca = Betrodda certifikatutfärdare
setting-tls-client-cert = Klientcertifikat
setting-tls-client-key = Klientcertifikatets privata nyckel
field-id = Id
field-changed = Senast ändrad
field-why = Orsak
field-due = Nästa försök
field-accepted = Mottagen
field-occurred = Inträffade

setting-url-help = Händelserna skickas hit med POST.
setting-name-help = Visas på sidorna. Om fältet är tomt används adressens värdnamn.
setting-notify-email-help = Valfritt. Får e-post när prenumerationens status ändras, om tjänsten är inställd på att skicka e-post.
setting-events-help = Ett per rad: TODO_CREATED, TODO_* för alla typer med samma början eller * för alla. Inled med ! för att undanta: !TODO_DELETED.
setting-projects-help = Ett per rad: website, acme/website, acme/* för ett helt företag eller * för alla. Inled med ! för att undanta: !acme/secret.
setting-filter-help = Ett CEL-uttryck över event som också måste vara sant. Exempel: event.data.amount > 100
setting-retry-schedule-none = inga nya försök
setting-retry-schedule-help = Det första försöket görs direkt. Efter varje väntetid görs ett nytt försök.
setting-format-help = Formatet på anropets innehåll.
setting-ordering-help = I ordning: en leverans som väntar på ett nytt försök fördröjer leveranserna efter den.
setting-timeout-help = Från anslutningen till svarets slut. Om fältet är tomt gäller delivery.timeout i konfigurationsfilen.
setting-max-in-flight-help = Om fältet är tomt gäller delivery.max_in_flight_per_subscription i konfigurationsfilen.
setting-rate-limit-help = Försök per sekund (50/s), minut (100/m) eller timme (1000/h). Lämna tomt för ingen gräns.
setting-headers-help = Läggs till i varje anrop. Skriv en per rad, som namn: värde.
setting-tls-ca-help = PEM. Endast dessa utfärdare godtas för mottagarens certifikat. Om fältet är tomt gäller systemets utfärdare.
setting-tls-client-cert-help = PEM för certifikatet som visas upp för mottagaren, med mellanliggande certifikat.
setting-tls-client-key-help = PEM utan lösenfras. Nyckeln visas aldrig. Lämna tomt för att behålla den nuvarande nyckeln.

edit-title = Redigera { $name }
editor-filter = Filtrera på innehåll
editor-more = Format, ordning, nya försök och gränser
editor-tls = TLS
editor-problems = { $n ->
    [one] Rätta det markerade fältet nedan.
   *[other] Rätta de { $n } markerade fälten nedan.
}
events-mode-all = Alla händelser, även nya typer
events-mode-only = Endast dessa
events-mode-except = Alla utom dessa
events-mode-terms = Ange mönster
projects-mode-all = Alla projekt, även nya
projects-mode-only = Endast dessa
projects-mode-except = Alla utom dessa
projects-mode-terms = Ange mönster
picker-search = Sök
picker-all = Välj alla
picker-none = Rensa
picker-other = Övriga händelser
picker-no-company = Utan företag
picker-company = Alla projekt hos { $company }
picker-nothing = Välj minst ett alternativ, eller välj alla ovan.
picker-no-types = Inga kända händelsetyper. De visas här när händelser tas emot, eller när de anges under [[event_types]] i konfigurationsfilen.
picker-no-projects = Inga kända projekt. De visas här när händelser tas emot, eller när de anges under [[projects]] i konfigurationsfilen.

preview-title = Test mot de senaste händelserna
preview-count = { $n } av de { $of } senaste händelserna matchar.
preview-none = Det finns inga händelser att testa mot än.
preview-match = matchar
preview-invalid = Rätta fälten så visas detta.

reason-events = händelsetypen är inte vald
reason-projects = projektet är inte valt
reason-filter = filtret är falskt
reason-filter-failed = filtret gav fel: { $detail }
reason-disabled = avstängd manuellt
reason-matches-now = matchar nu, men gjorde det inte när händelsen togs emot

sentence = { $what }, { $place }.
sentence-everything = alla händelser
sentence-group = alla { $n } händelser i { $group }
sentence-prefix = händelsetyper som börjar med { $prefix } ({ $known } kända)
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

secret-title = Signeringshemlighet
secret-lead = Kopiera den nu, den visas inte igen. Mottagaren använder den för att verifiera att anropen kommer från dig.
secret-verify = Så verifierar mottagaren ett anrop
secret-other-language = Andra språk
secret-signature = Använd valfritt Standard Webhooks-bibliotek. Headern webhook-signature innehåller v1, följt av:

delete-title = Ta bort { $name }?
delete-lead = Det går inte att ångra.
delete-unfinished = { $n ->
    [0] Det finns inga oavslutade leveranser.
    [one] 1 oavslutad leverans avbryts.
   *[other] { $n } oavslutade leveranser avbryts.
}
delete-secret = Signeringshemligheten tas bort.
delete-log = Tidigare leveranser finns kvar i loggen tills lagringstiden går ut.
delete-confirm = Ta bort prenumerationen

retry-lead = Schemat för nya försök börjar om. Tidigare försök finns kvar i historiken.
timeline = Historik
timeline-accepted = Mottagen och säkert lagrad
timeline-attempt = Försök { $n }
timeline-next = Försök { $n } är nästa
timeline-headers = Anropets headers
timeline-signature = Enligt nuvarande inställningar. Headern webhook-signature (i formatet Blue även x-signature) skapas för varje försök och sparas inte.

payload = Innehåll
payload-none = Händelsen har ingen data.
payload-formatted = Formaterat
payload-raw = Som det togs emot
event-deliveries = { $n ->
    [0] Inga leveranser
    [one] 1 leverans
   *[other] { $n } leveranser
}
event-unmatched = Ingen prenumeration matchade när händelsen togs emot. Orsakerna visas nedan.
event-others = Prenumerationer utan leverans
event-others-lead = Enligt prenumerationernas nuvarande inställningar.
event-others-more = och { $n } till

notice-created = Prenumerationen har skapats.
notice-changed = Ändringarna har sparats. De gäller för nya händelser.
notice-enabled = Prenumerationen är på.
notice-enabled-checked = Hälsokontrollen lyckades. Prenumerationen är på och vilande leveranser börjar skickas.
notice-check-failed = Hälsokontrollen misslyckades. Prenumerationen är fortfarande avstängd.
notice-disabled = Prenumerationen är avstängd. Nya händelser levereras inte hit förrän du slår på den.
notice-deleted = Prenumerationen har tagits bort.
notice-retried = Ett nytt försök har begärts.
notice-refused = Ändringen gjordes inte:
notice-answer = Mottagaren svarade { $answer } efter { $length }.

cancel-delivery = Avbryt leveransen
send-test = Skicka testhändelse
notice-cancelled = Leveransen har avbrutits. Inga fler försök görs.
notice-tested = Testhändelsen har skickats.
notice-rotated = Hemligheten har bytts.
field-old-secret = Tidigare hemlighet
secret-until = signerar till { $at } UTC
rotate = Byt hemlighet
rotate-lead = Skapar en ny hemlighet som visas en gång. Under övergångstiden signeras varje anrop med båda, så att mottagaren kan byta utan avbrott.
rotate-grace = Fortsätt signera med den gamla i
rotate-hour = en timme
rotate-day = ett dygn
rotate-week = en vecka
rotate-none = 0 timmar (upphör direkt)
rotate-submit = Byt hemlighet

overview-charts = Diagram
chart-hour = Försök, senaste timmen
chart-day = Försök, senaste dygnet
chart-durations = Svarstid, senaste timmen
chart-mean = medel
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
rate-accept = för att lagra en händelse (p99)
rate-first = till första försöket (p99)

live-lead = Händelser, försök och ändringar av prenumerationer i realtid, nyast först.
live-open = ansluten
live-closed = inte ansluten
live-pause = Pausa
live-resume = Fortsätt
live-script = Sidan kräver JavaScript. Samma uppgifter, utan automatisk uppdatering, finns under
live-empty = Inget har hänt sedan du öppnade sidan. Skicka en händelse:
live-col-change = Ändring
live-col-object = Objekt
live-col-detail = Detaljer
live-accepted = Händelse mottagen
live-matched = prenumerationer matchar
live-matched-one = prenumeration matchar
live-attempt = Försök
live-gap = Några ändringar missades.
live-created = Prenumeration skapad
live-settings = Inställningar ändrade
live-health = Status ändrad
live-deleted = Prenumeration borttagen
secret-private = Detta är den privata nyckeln, som avsändaren behåller. Mottagare verifierar med den publika nyckeln, som visas på prenumerationens sida.
field-public-key = Publik nyckel

replay = Leverera igen
replay-title = Leverera händelser igen till { $name }
replay-lead = Välj en period i loggen. Alla händelser i den som matchar prenumerationen levereras igen, även de som togs emot innan prenumerationen fanns. Räkna händelserna först: inget skickas förrän du bekräftar.
replay-off = Prenumerationen är avstängd. Nya leveranser är vilande tills du slår på den.
replay-quick = Alla händelser från
replay-hour = senaste timmen
replay-day = senaste dygnet
replay-week = senaste veckan
replay-all = hela loggen
replay-events = Händelser
replay-state-any = Alla som matchar nu
replay-state-succeeded = Endast levererade
replay-state-exhausted = Endast de vars leverans misslyckades
replay-state-cancelled = Endast de vars leverans avbröts
replay-span-hint = Lämna ett fält tomt för att börja vid loggens början eller sluta nu.
replay-count = Räkna händelser
replay-counted = { $n ->
    [0] Det finns inga händelser att leverera igen.
    [one] 1 händelse kommer att levereras igen.
   *[other] { $n } händelser kommer att levereras igen.
}
replay-counted-part = Fler än { $n } händelser kommer att levereras igen. Det tar för lång tid att räkna alla.
replay-explanation = Varje händelse får en ny leverans, äldst först. Nya händelser fördröjs inte. Omleveransen fortsätter efter en omstart och kan stoppas.
replay-start = Starta omleverans
replay-events-hint = För enstaka händelser, eller alla av en viss typ, gå till
replays-title = Omleveranser
replays-none = Inga omleveranser än
replays-empty = Öppna en prenumerations sida för att leverera händelser igen.
replay-progress = { $n } av { $of } händelser behandlade
replay-created = { $n ->
    [one] 1 leverans har skapats.
   *[other] { $n } leveranser har skapats.
}
replay-skipped = { $n ->
    [0] {""}
    [one] 1 händelse hoppades över: den har redan en oavslutad leverans.
   *[other] { $n } händelser hoppades över: de har redan oavslutade leveranser.
}
replay-period = Period
replay-span = { $since } till { $until } UTC
replay-from-beginning = loggens början
replay-started = Startad
replay-finished = Avslutad
replay-deliveries = Visa leveranser
replay-stop = Stoppa omleveransen
replay-col-created = Leveranser
job-running = Pågår
job-done = Klar
job-cancelled = Stoppad
job-failed = Misslyckad
notice-replay-started = Omleveransen har startat och fortsätter i bakgrunden.
notice-replay-cancelled = Omleveransen har stoppats. Leveranser som redan skapats fortsätter.

redeliver = Leverera igen
redeliver-title = Leverera händelser igen
redeliver-selected = { $n ->
    [one] 1 händelse vald.
   *[other] { $n } händelser valda.
}
redeliver-more = Endast de senaste träffarna är med. Leverera fler från prenumerationens sida.
redeliver-none = Inga händelser valda. Gå tillbaka till listan och välj händelser, eller sök på en typ.
redeliver-to = Prenumeration
redeliver-to-hint = Ange namn eller id.
redeliver-preview = Förhandsgranska
redeliver-counted = { $n ->
    [0] Inga händelser kommer att levereras till { $name }.
    [one] 1 händelse kommer att levereras till { $name }.
   *[other] { $n } händelser kommer att levereras till { $name }.
}
redeliver-unfinished = { $n ->
    [one] 1 händelse hoppas över: den har redan en oavslutad leverans.
   *[other] { $n } händelser hoppas över: de har redan oavslutade leveranser.
}
redeliver-unmatched = { $n ->
    [one] 1 händelse matchar inte prenumerationen. Den levereras ändå, eftersom du har valt den.
   *[other] { $n } händelser matchar inte prenumerationen. De levereras ändå, eftersom du har valt dem.
}
redeliver-start = Leverera igen
redeliver-checked = Leverera valda igen
redeliver-found = Leverera alla träffar igen
redeliver-done = { $n ->
    [0] Inga leveranser har skapats.
    [one] 1 leverans har skapats.
   *[other] { $n } leveranser har skapats.
}
redeliver-skipped = { $n ->
    [one] 1 händelse hoppades över: den har redan en oavslutad leverans eller finns inte kvar i loggen.
   *[other] { $n } händelser hoppades över: de har redan oavslutade leveranser eller finns inte kvar i loggen.
}
select = Välj
reason-unfinished = har redan en oavslutad leverans

editor-already-submitted = Formuläret har redan skickats med andra inställningar och skapade då en prenumeration. Skicka det igen för att skapa en till.
picker-seen = { $n ->
    [one] 1 händelse hittills
   *[other] { $n } händelser hittills
}
picker-more = Loggen innehåller fler än vad som visas här. Ange mönster för att använda andra.
sentence-group-part = { $n } händelser i { $group }

why-cancelled-manually = avbruten manuellt
why-deleted = prenumerationen { $name } togs bort { $at } UTC
why-deleted-long-ago = prenumerationen har tagits bort
why-disabled-manually = vilande sedan { $at } UTC: prenumerationen stängdes av manuellt
why-disabled-failing = vilande sedan { $at } UTC: prenumerationen stängdes av för att försöken misslyckades, senast med { $detail }
why-retry-after = pausad till { $at } UTC på mottagarens begäran (Retry-After)
why-probe = väntar tills mottagaren svarar igen: { $probe } testar den
why-due = försök { $n } görs { $at } UTC
why-queued = i kö: { $n } anrop till mottagaren pågår
due-reason = { $wait } efter att försök { $n } avslutades, enligt schemat för nya försök eller mottagarens Retry-After.
disabled-response = { $detail } från { $host }
failing-since = Försöken har misslyckats sedan { $at } UTC.
field-last-success = Senast lyckad
field-last-failure = Senast misslyckad
chart-older = äldre
chart-newest = senaste
chart-success-count = { $n } av { $of } levererade
chart-duration-summary = median { $half }, längst { $longest }
chart-hour-ago = för en timme sedan
chart-day-ago = för ett dygn sedan
chart-axis-now = nu
overview-healthy = Utan problem

problem-name = måste vara 1 till { $most } utskrivbara tecken
problem-name-empty = är tomt: { $what } har 1 till { $most } tecken
problem-name-long = har { $bytes } byte: { $what } har högst { $most }
problem-name-character = "{ $text }" innehåller { $character }: { $what } får bara innehålla { $allowed }
problem-term-star = "{ $text }" har * på fel plats: { $place }
problem-term-excludes-all = !* undantar allt: stäng av prenumerationen om den inte ska få något
problem-terms-empty = är en tom lista, som kan betyda inget eller allt: utelämna den eller ange * för allt, eller stäng av prenumerationen
problem-terms-many = har { $count } mönster: högst { $most } är tillåtna
problem-time = "{ $text }" är ingen RFC 3339-tid efter 1970, som 2026-01-31T08:00:00.000Z
problem-interval = "{ $text }" är ingen giltig tidslängd: ange till exempel 250ms, 5s, 2m, 24h eller 30d
problem-id = "{ $text }" är inte { $what }: ange { $prefix } följt av 26 bokstäver och siffror
problem-word = "{ $text }" är inget giltigt värde: ange något av { $words }
problem-state = "{ $text }" är ingen giltig leveransstatus: ange något av { $words }
problem-rate = "{ $text }" är ingen giltig takt: ange till exempel 50/s, 100/m eller 1000/h
problem-email = "{ $text }" är ingen giltig e-postadress: ange till exempel ops@acme.example
problem-filter = rad { $line }, kolumn { $column }: { $message }
problem-filter-token = rad { $line }, kolumn { $column }: "{ $token }" { $message }
problem-address = { $address } är { $why } och får inte anropas: lägg till nätverket i `delivery.allow_networks` för att tillåta det
problem-address-inside = { $address } är { $why } (motsvarar { $inside }) och får inte anropas: lägg till nätverket i `delivery.allow_networks` för att tillåta det
problem-url-missing = saknas: ange mottagarens http- eller https-adress
problem-url-relative = "{ $text }" är ingen fullständig adress: inled med https:// eller http://
problem-url = "{ $text }" är ingen giltig adress: { $cause }
problem-url-scheme = "{ $text }" börjar med { $scheme }: endast http och https är tillåtna
problem-url-fragment = "{ $text }" har en del efter #, som HTTP aldrig skickar: ta bort den
problem-long = har { $bytes } byte: högst { $most } är tillåtna
problem-headers-many = har { $count } headers: högst { $most } är tillåtna
problem-header-name = är inget giltigt namn på en HTTP-header
problem-header-reserved = är reserverat för tjänsten eller för HTTP: välj ett annat namn
problem-header-value = har ett ogiltigt värde: högst { $most } synliga ASCII-tecken och mellanslag är tillåtna
problem-timeout = "{ $timeout }" är utanför gränserna: ange 100ms till 60s
problem-retries-many = har { $count } väntetider: högst { $most } är tillåtna
problem-retry-long = "{ $wait }" är för lång: högst 7d är tillåtet
problem-in-flight = { $text } är inget heltal från 1 till { $most }
problem-empty-span = är inte senare än starttiden: inga händelser skulle levereras
problem-ambiguous-name = flera prenumerationer heter "{ $text }": ange id (sub_…) i stället
problem-not-found = { $what } "{ $id }" finns inte
problem-role = nyckeln "{ $name }" har rollen { $role }: logga in med en nyckel som har rollen admin
problem-managed-by-config = prenumerationen "{ $name }" hanteras av konfigurationsfilen: ändra den där och ladda om
problem-outdated = prenumerationen { $id } har ändrats sedan sidan lästes in: ladda om sidan och gör ändringen igen
problem-replays-many = gränsen api.replays_running_max är nådd: vänta tills en omleverans är klar eller stoppa en
problem-key-reused = formuläret har redan skickats med annat innehåll: ladda om sidan
problem-no-subscription = leveransens prenumeration { $id } har tagits bort
problem-delivery-in-flight = ett försök med { $id } pågår: vänta tills det är klart
problem-no-event = leveransens händelse { $id } finns inte kvar i loggen
problem-ended = { $id } är redan avslutad med status { $state }
problem-disabled-again = { $id } stängdes av igen under hälsokontrollen: ladda om sidan och slå sedan på den
problem-created-then-deleted = { $id }, som skapades av det här formuläret, har tagits bort
problem-secrets = { $count } hemligheter skulle signera samtidigt, högst { $most } är tillåtna: vänta, eller byt utan övergångstid
problem-secrets-until = { $count } hemligheter skulle signera samtidigt, högst { $most } är tillåtna: vänta till { $end }, då den första upphör, eller byt utan övergångstid

phrase-is-missing-here = saknas här
phrase-the-expression-ends-too-early = uttrycket slutar för tidigt
phrase-is-not-part-of-an-expression = hör inte hemma i ett uttryck
phrase-is-not-expected-here = är oväntat här
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
phrase-exhausted = misslyckad
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
