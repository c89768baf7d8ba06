"""Words that mail programs and people put around a message, by language, as regular expressions. Pure.

Matched without regard to case, on lines with single spaces.
"""

from typing import Final

FORMULAS: Final = "|".join((
    # English
    "(?:with )?(?:lots of |all my |much )?love",
    "(?:with )?(?:(?:kind|best|warm)(?:est)?|many) regards",
    "regards",
    "(?:with )?(?:best|warm|warmest|good|kind) wishes",
    "all the best",
    "best",
    "(?:yours )?sincerely(?: yours)?",
    "yours(?: truly| faithfully)?",
    "respectfully(?: yours)?",
    "cordially",
    "warmly",
    "hugs(?: and kisses)?",
    # German
    "mit (?:freundlichen|herzlichen|lieben|besten|vielen) gr(?:ü(?:ß|ss)|uess)en",
    "mit freundlichem gru(?:ß|ss)",
    "(?:viele|liebe|herzliche|beste|schöne|freundliche|sonnige) gr(?:ü(?:ß|ss)|uess)e",
    "(?:lieben |schönen )?gru(?:ß|ss)",
    "hochachtungsvoll",
    "mfg|lg|vg",
    "in liebe",
    "alles liebe",
    # French
    "(?:bien |très )?cordialement",
    "bien à vous",
    "(?:bien )?amicalement",
    "(?:sincères|meilleures) salutations",
    "salutations distinguées",
    "(?:gros )?bisous",
    "avec (?:tout mon )?amour",
    "je t['’]embrasse",
    # Spanish
    "(?:un )?(?:cordial )?saludos?(?: cordial(?:es)?)?",
    "atentamente",
    "cordialmente",
    "un (?:fuerte )?abrazo",
    "con (?:mucho )?(?:cariño|amor)",
    "besos",
    # Portuguese
    "atenciosamente",
    "(?:com os )?melhores cumprimentos",
    "cumprimentos",
    "(?:um )?(?:grande )?abraços?",
    "beijos",
    "com (?:muito )?(?:carinho|amor)",
    "att",
    # Italian
    "(?:cordiali|distinti|cari) saluti",
    "con (?:affetto|amore)",
    "un abbraccio",
    # Dutch
    "met vriendelijke groet(?:en)?",
    "groet(?:en|jes)",
    "liefs",
    # Swedish, Danish, Norwegian
    "(?:med )?(?:vänliga?|varma?|bästa) hälsning(?:ar)?",
    "hälsningar|mvh",
    "(?:många )?kram(?:ar)?",
    "med kärlek",
    "(?:med )?ven(?:lig|nlig) hilsen",
    # Romanian
    "cu (?:stimă|respect|drag|dragoste)",
    "toate cele bune|numai bine",
    # Polish, Russian, Ukrainian, Turkish
    "(?:serdecznie )?pozdrawiam",
    "z poważaniem",
    "с (?:уважением|любовью|наилучшими пожеланиями)",
    "з (?:повагою|любов['’]ю|найкращими побажаннями)",
    "saygılarımla",
    "sevgiler(?:le|imle)?",
))  # fmt: skip
"""Formulas of goodbye."""

THANKS: Final = "|".join((
    "(?:many |kind )?thanks(?: (?:again|in advance))?",
    "thank you(?: in advance)?",
    "cheers",
    "take care",
    "(?:vielen )?dank(?: im voraus)?",
    "merci(?: d['’]avance)?",
    "(?:muchas )?gracias",
    "obrigad[oa]",
    "grazie",
    "bedankt",
))  # fmt: skip
"""Formulas that may be meant as they stand."""

PARTICLES: Final = (
    "de|da|do|dos|das|du|des|di|del|la|le|el|van|von|der|den|of|for|the|at|in|am|für|and|und|et|y|e|&|\\+"
)
"""Words in lower case within names and titles."""

CONTACTS: Final = "t[eé]l|fax|phone|mobile?|cell|office|direct|web|mail|e-mail|email"
"""What stands before a number or an address, with or without a colon."""

OPENINGS: Final = (
    "on|am|le|el|em|no dia|a|il(?: giorno)?|op|den|dnia|w dniu|v|în|на|пн|вт|ср|чт|пт|сб|вс|нд|在|於"
)  # fmt: skip
"""What a line that says who wrote begins with."""

WROTE: Final = (
    r"\b(?:wrote|schrieb|a écrit|escribió|escreveu|ha scritto|schreef|geschreven|skrev|kirjoitti|yazdı|"
    r"a scris|napisał(?:\(a\)|a)?|pisze|napsal(?:\(a\)|a)?|написал(?:\(а\)|а)?|пишет|пише|"
    r"написа(?:в|ла|в\(ла\)))\b|ने लिखा|写道|寫道|書きました|작성"
)

SEPARATORS: Final = "|".join((
    "original (?:message|appointment)|forwarded message",
    "ursprüngliche nachricht|originalnachricht|weitergeleitete nachricht",
    "message d['’]origine|message original|message transféré",
    "mensaje original|mensaje reenviado",
    "mensagem original|mensagem encaminhada",
    "messaggio originale|messaggio inoltrato",
    "oorspronkelijk bericht|doorgestuurd bericht",
    "wiadomość oryginalna",
    "mesaj original|mesaj redirecționat",
    "исходное сообщение|пересылаемое сообщение|переслане повідомлення",
    "ursprungligt meddelande|vidarebefordrat meddelande",
    "原始邮件|转发邮件信息|转发的邮件|元のメッセージ",
))  # fmt: skip
"""What stands between hyphens above quoted mail."""

FORWARDS: Final = "|".join((
    "begin forwarded message",
    "anfang der weitergeleiteten (?:e-mail|nachricht)",
    "début du message (?:réexpédié|transféré)",
    "inicio del mensaje reenviado",
    "início da mensagem encaminhada",
    "inizio messaggio inoltrato",
    "początek przekazywanej wiadomości",
    "vidarebefordrat brev",
    "начало переадресованного сообщения",
    "下面是被转发的邮件",
))  # fmt: skip

FROM: Final = "from|von|de(?: la)?|da|van|från|fra|od|от|від|kimden|gönderen|प्रेषक|发件人|寄件者|差出人|من"
SENT: Final = (
    "sent|date|gesendet|datum|envoyé|date d['’]envoi|enviad[oa](?: el| em)?|fecha|data|inviato|verzonden|"
    "skickat|sendt|dato|wysłano|trimis|отправлено|дата|надіслано|tarih|gönderildi|भेजा गया|दिनांक|"
    "发送时间|日期|寄件日期|送信日時|日付|التاريخ|تم الإرسال"
)
SUBJECT: Final = (
    "subject|betreff|objet|asunto|assunto|oggetto|onderwerp|ämne|emne|temat|subiect|тема|konu|विषय|"
    "主题|主旨|件名|الموضوع"
)

SENT_FROM: Final = "|".join((
    "sent (?:from|via|with)(?: my)?|get(?= outlook)",
    "gesendet (?:von|mit)(?: mein(?:em|er))?",
    "envoyé (?:de(?:puis)?|à partir de)(?: mon)?",
    "enviado (?:desde|d[oe]|a partir do)(?: mi| meu)?",
    "inviato dal?(?: mio)?",
    "(?:verzonden|verstuurd) (?:vanaf|met|via)(?: mijn)?",
    "skicka(?:t|des) från min|sendt fra min",
    "trimis (?:de pe|din|prin)",
    "отправлено (?:с|из)(?: моего)?",
    "надіслано (?:з|із)(?: мого)?",
    "wysł(?:ane|ano) z(?: mojego)?",
    "发自我的|來自我的",
))  # fmt: skip
DEVICES: Final = "|".join((
    "(?:(?:apple|samsung|huawei|xiaomi|google|sony) )?(?:iphone|ipad|ipod|mac(?:book)?|android|galaxy|pixel)",
    "blackberry|windows phone|phone|smartphone|mobile(?: phone| device)?|handy|mobiltelefon|tablet|device",
    "t[eé]l[eé]phone|portable|m[oó]vil|celular|telem[oó]vel|telefono|telefoon",
    "(?:microsoft )?outlook|yahoo|gmail|proton ?mail|thunderbird",
    "mail for windows|mail für windows|courrier pour windows|correo para windows|手机",
))  # fmt: skip
OF_DEVICES: Final = (
    "smartphone|phone|tablet|device|mobile?|mail|app|ios|ipados|macos|meu|mini|"
    "for|on|using|with|via|from|für|auf|mit|pour|sur|para|per|su|voor|op|для"
)
"""Words in lower case that follow a device: "Galaxy smartphone", "Outlook for iOS"."""
FROM_MY: Final = "von mein(?:em|er)|从我的|從我的|मेरे"
SENT_LAST: Final = "gesendet|发送|傳送|から送信|से भेजा गया|gönderildi"
"""Where the verb stands behind the device."""
EXCUSES: Final = "excuse|pardon|forgive|apologi[sz]e|apologies|sorry for|get"

NOTICES: Final = "|".join((
    "confidential|disclaimer|privileged|(?:legal|important|privacy) notice|notice:",
    "(?:the (?:information|contents?) (?:contained |transmitted )?(?:in|of|by) )?"
    "this (?:e-?mail|message|communication|transmission|electronic)",
    "vertraulich|(?:die (?:informationen|inhalte) (?:in )?)?diese[r]? (?:e-?mail|nachricht|mitteilung)",
    "(?:les informations contenues dans )?ce(?:t|tte)? (?:message|courriel|e-?mail|courrier)",
    "aviso|(?:la información (?:contenida )?(?:en|de) )?est[ea] (?:mensaje|correo|e-?mail|comunicación)",
    "(?:as informações contidas )?(?:n?esta mensagem|n?este e-?mail)",
    "(?:le informazioni contenute in )?quest[oa] (?:messaggio|e-?mail|comunicazione)",
    "(?:de informatie in )?(?:dit bericht|dit e-?mail|deze e-?mail)",
    "detta (?:meddelande|mejl|mail|e-post)|denna e-post",
    "acest (?:mesaj|e-?mail)|informațiile",
    "(?:niniejsz|t)[ae] wiadomość|treść (?:tej|niniejszej) wiadomości",
    "(?:это|данное|настоящее) (?:электронное )?(?:сообщение|письмо)",
    "(?:цей (?:електронний )?лист|це повідомлення)",
    "bu (?:e-?posta|mesaj|ileti)",
    "[本此](?:电子)?邮件|[本此](?:電子)?郵件|[本此]メール|このメール|यह (?:ई-?मेल|संदेश)",
))  # fmt: skip
"""What a notice of confidentiality begins with."""

CONFIDENTIAL: Final = (
    "confiden[tc]i|privileged|vertrauli|confidenți|vertrouwelijk|riservat|konfidentiell|poufn|конф[иі]денц[иі]|"
    "gizli|保密|机密|機密|गोपनीय"
)
INTENDED_FOR: Final = (
    "intended|addresse[de]|empfänger|adressat|bestimmt|destinat|destiné|dirigid|destinad|bestemd|geadresseerd|"
    "avse[td]|mottagare|przeznaczon|adresat|предназнач|признач|адресат|alıcı|收件人|指定|宛先|受信者|प्राप्तकर्ता"
)
FIRST_PERSON: Final = (
    "i['’]?m|my|me|mine|ich|mir|mich|meine?[mnrs]?|je|j['’]\\w+|moi|mon|ma|yo|mi|mis|eu|meu|minha|io|mio|mia|ik|"
    "mij|jag|mig|min|mitt|mina|mnie|moj[ae]|я|мне|меня|мой|моя|мені|мене|ben|benim|我|私|मैं|मुझे|मेरा|मेरी"
)
"""Words in which authors speak of themselves, and notices do not."""
