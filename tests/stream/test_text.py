"""What the model reads of a message: nothing hidden, nothing that others wrote, and all else."""

import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.text import text_to_read
from stream.text.characters import composed, with_plain_characters

ANSWER = "It still does not work."


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ｉ ａｍ ｆｕｒｉｏｕｓ", "i am furious"),
        ("I am fu\u200brious", "I am furious"),
        ("fu\u00adri\u2060ous\ufeff", "furious"),
        ("fu\u200drious", "furious"),
        ("\x07Bell\x00 and\x1b escape", "Bell and escape"),
        ("I&#39;m &lt;b&gt;so&lt;/b&gt; happy&nbsp;&amp; proud", "I'm so happy & proud"),
        ("I&amp;#39;m sad &amp;amp; tired", "I'm sad & tired"),
        ("<p>Dear team,<br/>no.</p>\r\n<div class='x'>Really.</div>", "Dear team,\nno.\nReally."),
        ("<style>.joy { color: red }</style>Nobody answers", "Nobody answers"),
        ("<!--[if mso]><p>For <b>Outlook</b></p><![endif]-->Nobody answers", "Nobody answers"),
        ("<!--[if !mso]><!--><p>Nobody answers</p><!--<![endif]-->", "Nobody answers"),
        ("<![if !vml]>Nobody answers<![endif]>", "Nobody answers"),
        ("<!-- a > b --><p>Nobody answers</p>", "Nobody answers"),
        ("<table><tr><td nowrap width=9>Nobody</td></tr></table><hr noshade>answers", "Nobody\nanswers"),
        ("<a href=http://a.example/?b=c>Nobody</a> answers", "Nobody answers"),
        ("<?xml:namespace prefix = o /><st1:City w:st='on'>Nobody</st1:City> answers", "Nobody answers"),
        ("<@U024BE7LH> and <@!80351110224678912>, I am so sad", "and , I am so sad"),
        ("<!here> <#C024BE7LR|general> I am so sad &lt;@W012A3CDE|ana&gt;", "I am so sad"),
        ("so sad <:cry_cat:123456789012345678>", "so sad :cry_cat:"),
        ("<@home> <#sad> <!sigh>", "<@home> <#sad> <!sigh>"),
        ("I <!-- hate this <a lie>", "I <!-- hate this <a lie>"),
        ("I <3 this &hearts; a < b > c <sigh>", "I <3 this ♥ a < b > c <sigh>"),
        ("&unknown; R&D; AT&T", "&unknown; R&D; AT&T"),
        ("u\u0308ber", "über"),
        ("two  spaces \n\n\n and lines ", "two spaces\nand lines"),
    ],
)
def test_characters_are_read_as_people_see_them(written: str, read: str) -> None:
    assert text_to_read(written, "all") == read
    assert text_to_read(written, "new") == read


@pytest.mark.parametrize("text", ["می‌روم", "क्‍ष", "👨‍👩‍👧", "❤️‍🔥 great"])
def test_joiners_stay_where_words_and_emoji_are_spelt_with_them(text: str) -> None:
    assert text_to_read(text, "new") == text


ATTRIBUTIONS = [
    "On Mon, 3 Nov 2025 at 10:12, Ana Silva <ana@example.org> wrote:",
    "On Mon, 3 Nov 2025 at 10:12, Ana Silva <ana@\nexample.org> wrote:",
    "On 03.11.25 10:12, Ana Silva wrote:",
    "Am 03.11.25 um 10:12 schrieb Ana Silva:",
    "Am Mo., 3. Nov. 2025 um 10:12 Uhr schrieb Ana Silva <ana@example.org>:",
    "Le lun. 3 nov. 2025 à 10:12, Ana Silva <ana@example.org> a écrit\xa0:",
    "El lun, 3 nov 2025 a las 10:12, Ana Silva (<ana@example.org>) escribió:",
    "Em seg., 3 de nov. de 2025 às 10:12, Ana Silva <ana@example.org> escreveu:",
    "Il giorno lun 3 nov 2025 alle ore 10:12 Ana Silva <ana@example.org> ha scritto:",
    "Op ma 3 nov 2025 om 10:12 schreef Ana Silva <ana@example.org>:",
    "пн, 3 нояб. 2025 г. в 10:12, Ana Silva <ana@example.org>:",
    "Ana Silva <ana@example.org> 于2025年11月3日周一 10:12写道：",
    "在 2025年11月3日，10:12，Ana 写道：",
    "2025年11月3日(月) 10:12 Ana Silva <ana@example.org>:",
    "W dniu 03.11.2025 o 10:12, Ana Silva pisze:",
    "În lun., 3 nov. 2025 la 10:12, Ana Silva <\nana@example.org> a scris:",
    "Den mån 3 nov. 2025 kl 10:12 skrev Ana Silva <\nana@example.org>:",
]
QUOTED_ATTRIBUTIONS = [
    "pon., 3 lis 2025 o 10:12 Ana Silva <\nana@example.org> napisał(a):",
    "Ana Silva <ana@example.org>, 3 Kas 2025 Pzt, 10:12 tarihinde\nşunu yazdı:",
    "03.11.2025 10:12, Анна пишет:",
    "03.11.25 10:12, Ганна пише:",
    "Ana Silva <ana@example.org> wrote:",
]
HEADER_BLOCKS = [
    "-----Original Message-----",
    "-----Ursprüngliche Nachricht-----\nVon: Ana",
    "---------- Forwarded message ---------",
    "________________________________\nFrom: Ana Silva\nSent: Monday, 3 May 2025\nTo: Us\nSubject: Re: hi\n",
    "Von: Ana Silva\nGesendet: Montag, 3. November 2025 10:12\nAn: Hilfe\nBetreff: AW: Paket\n",
    "De : Ana Silva <ana@example.org>\nEnvoyé : lundi 3 novembre 2025\nÀ : aide\n",
    "De: Ana Silva\nEnviado el: lunes, 3 de noviembre de 2025\nPara: ayuda\nAsunto: RE: pedido\n",
    "De la: Ana Silva\nTrimis: luni, 3 noiembrie 2025\nCătre: ajutor\nSubiect: RE: colet\n",
    "Від: Ганна\nНадіслано: 3 листопада 2025 р. 10:12\nКому: нам\nТема: RE: посилка\n",
    "प्रेषक: अना\nभेजा गया: 3 नवंबर 2025\nप्रति: हम\nविषय: पार्सल\n",
    "发件人: 张三\n发送时间: 2025年11月3日 10:12\n收件人: 客服\n主题: 回复: 订单\n",
    "差出人: 田中\n送信日時: 2025年11月3日 10:12\n宛先: 窓口\n件名: Re: 注文\n",
    "-----Ursprungligt meddelande-----",
    "-----原始邮件-----",
    "##- Please type your reply above this line -##",
    "##- Bitte geben Sie Ihre Antwort oberhalb dieser Zeile ein. -##",
    "De: Ana Silva\nEnviada em: segunda-feira, 3 de novembro de 2025\nPara: ajuda\nAssunto: RE: pedido\n",
]


@pytest.mark.parametrize("above", ATTRIBUTIONS + HEADER_BLOCKS)
@pytest.mark.parametrize("quoted", ["> I love it!\n>\n> With love, Ana", "I love it!\nWith love, Ana"])
def test_quoted_mail_does_not_speak_for_the_author(above: str, quoted: str) -> None:
    mail = f"{ANSWER}\n\n{above}\n{quoted}\n"
    assert text_to_read(mail, "new") == ANSWER
    assert "I love it!" in text_to_read(mail, "all")


@pytest.mark.parametrize("above", QUOTED_ATTRIBUTIONS)
def test_quoted_lines_show_that_a_line_above_them_says_who_wrote(above: str) -> None:
    assert text_to_read(f"{ANSWER}\n\n{above}\n> I love it!\n", "new") == ANSWER


@pytest.mark.parametrize("attribution", [ATTRIBUTIONS[0], ATTRIBUTIONS[1], QUOTED_ATTRIBUTIONS[-1]])
@pytest.mark.parametrize(
    "own",
    [
        "On 3 Nov 2025 I lost my job and I am desperate",
        "El 3/11/2025 a las 10:12 compré un móvil y estoy furioso",
        "Ich warte seit 3.11.2025 10:12 und bin wütend",
    ],
)
def test_a_date_in_the_author_s_last_line_does_not_make_it_one_with_the_line_below(
    own: str, attribution: str
) -> None:
    assert text_to_read(f"Hello,\n{own}\n{attribution}\n> I love it", "new") == f"Hello,\n{own}"


def test_what_stands_between_and_below_quoted_lines_is_read() -> None:
    mail = "> Did it arrive?\nNo.\n>> Sorry!\n> Shall we send another?\nNo, I want my money back."
    assert text_to_read(mail, "new") == "No.\nNo, I want my money back."
    below = f"On 3 Nov 2025 at 10:12, Ana <a@example.org> wrote:\n> I love it\n\n{ANSWER}"
    assert text_to_read(below, "new") == ANSWER


def test_a_quotation_in_html_is_not_read() -> None:
    mail = f"{ANSWER}<blockquote type='cite'>A<blockquote>B</blockquote>C</blockquote><p>Bye"
    assert text_to_read(mail, "new") == f"{ANSWER}\nBye"


SIGNATURES = [
    "With love, Ana",
    "With love,\nAna",
    "Love, Ana x",
    "Kind regards,\nAna Silva\nHead of Sales\n+49 170 1234567\nhttps://example.org",
    "-- \nAna Silva\nLove is all you need",
    "-- \nBest,\nAna",
    "Best regards,\nAna\nAcme & Co. KG | Hauptstr. 12 | 12345 Berlin\ntel. 030 12345\nmobile: +49 170",
    "Regards,\nAna\nVP of Sales, Acme Inc\n@ana • ana@acme.com • www.acme.com • (555) 123-4567",
    "Thanks,\nAna",
    "Sent from my iPhone",
    "Best,\nAna\n\nSent from my Samsung Galaxy smartphone.",
    "Liebe Grüße\nAna",
    "Mit freundlichen Grüßen,\nAna von Silva",
    "LG Ana",
    "Von meinem iPhone gesendet",
    "Gesendet von Outlook für Android",
    "Bien cordialement,\nAna",
    "Gros bisous,\nAna",
    "Envoyé de mon iPhone",
    "Un abrazo,\nAna",
    "Con cariño, Ana",
    "Enviado desde mi iPhone",
    "Beijos,\nAna",
    "Enviado do meu iPhone",
    "С любовью, Анна",
    "Отправлено с iPhone",
    "Je t’embrasse,\nAna",
    "Med vänliga hälsningar,\nAna",
    "Kram, Ana",
    "Cu stimă,\nAna",
    "З любов’ю, Ганна",
    "Sent from my Galaxy S21 5G",
    "Sent from my iPhone. Please excuse typos",
    "Get Outlook for iOS",
    "Verstuurd vanaf mijn iPhone",
    "Trimis de pe iPhone-ul meu",
    "Надіслано з iPhone",
    "发自我的iPhone",
    "从我的手机发送",
    "मेरे iPhone से भेजा गया",
    "iPhoneから送信",
    "iPhone'umdan gönderildi",
]


@pytest.mark.parametrize("signature", SIGNATURES)
def test_a_signature_does_not_speak_for_the_author(signature: str) -> None:
    assert text_to_read(f"{ANSWER}\n\n{signature}\n", "new") == ANSWER
    assert text_to_read(f"{ANSWER}\n\n{signature}\n", "all") != ANSWER


@pytest.mark.parametrize("line", [line for line in SIGNATURES if "iPhone" in line and "\n" not in line])
def test_what_a_phone_adds_behind_the_last_sentence_of_a_line_is_not_read(line: str) -> None:
    assert text_to_read(f"{ANSWER} {line}", "new") == ANSWER
    assert text_to_read(f"No answer {line} today", "new") == f"No answer {line} today"


DISCLAIMERS = [
    (
        "This e-mail and any attachments are confidential and intended solely for the use of the "
        "individual to whom it is addressed. If you are not the intended recipient, please delete "
        "it."
    ),
    (
        "CONFIDENTIALITY NOTICE: This message may contain confidential and privileged information.\n"
        "If you are not the intended recipient, any disclosure, copying, distribution or use of "
        "the\ncontents is strictly prohibited.\nPlease consider the environment before printing this "
        "e-mail."
    ),
    (
        "Diese E-Mail enthält vertrauliche und/oder rechtlich geschützte Informationen. Wenn Sie "
        "nicht der richtige Adressat sind oder diese E-Mail irrtümlich erhalten haben, informieren "
        "Sie bitte sofort den Absender und vernichten Sie diese Mail."
    ),
    (
        "Ce message et toutes les pièces jointes sont confidentiels et établis à l'intention "
        "exclusive de leurs destinataires."
    ),
    (
        "Este mensaje y sus archivos adjuntos van dirigidos exclusivamente a su destinatario, "
        "pudiendo contener información confidencial sometida a secreto profesional."
    ),
    (
        "Esta mensagem pode conter informação confidencial, sendo seu conteúdo destinado "
        "exclusivamente ao destinatário."
    ),
    ("Questo messaggio contiene informazioni riservate ed è destinato esclusivamente al destinatario."),
    ("De informatie in dit bericht is vertrouwelijk en uitsluitend bestemd voor de geadresseerde."),
    ("Detta meddelande kan innehålla konfidentiell information och är endast avsett för mottagaren."),
    "Acest mesaj este confidențial și este destinat exclusiv persoanei căreia îi este adresat.",
    "Niniejsza wiadomość zawiera informacje poufne i jest przeznaczona wyłącznie dla adresata.",
    "Это сообщение содержит конфиденциальную информацию и предназначено только для адресата.",
    "Цей лист містить конфіденційну інформацію та призначений лише для адресата.",
    "Bu e-posta gizli bilgiler içerebilir ve yalnızca alıcısı içindir.",
    "本邮件及其附件含有保密信息，仅限于发送给上面地址中列出的收件人。",
    "本メールには機密情報が含まれており、宛先の方のみを対象としています。",
]


@pytest.mark.parametrize("disclaimer", DISCLAIMERS)
def test_a_notice_of_confidentiality_is_not_read_nor_does_it_hide_the_signature(disclaimer: str) -> None:
    mail = f"{ANSWER}\n\nKind regards,\nAna Silva\nAcme Ltd\n\n{disclaimer}\n"
    assert text_to_read(mail, "new") == ANSWER
    assert text_to_read(mail, "all") != ANSWER


def test_what_the_author_wrote_below_a_notice_of_confidentiality_is_read() -> None:
    mail = f"{ANSWER}\n{DISCLAIMERS[0]}\nPS: I am scared\nPlease call"
    assert text_to_read(mail, "new") == f"{ANSWER}\nPS: I am scared\nPlease call"


@pytest.mark.parametrize(
    "text",
    [
        "I did all this with love\nand nobody saw it",
        "With love,\nwe made a cake for everyone",
        "Thanks,\nit is still broken",
        "You solved it.\nThank you so much!",
        "You saved me.\nThanks, Ana",
        "Best,\nday,\never",
        "I need three things:\n- an answer\n- a refund\n- love",
        "Sent from my heart",
        "I am sad. Sent from my phone and nobody answers",
        "Nobody answers mails sent from my iPhone",
        "Hello,\nThis email was confidential and you gave it to the wrong recipient!",
        "Hello,\nThis message is confidential, it is intended for you alone: I want to die",
        "Hello,\nthis is my last message, it is confidential and intended for mum",
        "Hello,\nSent from my phone three times and nobody answers!!",
        "Hello,\nSent from my iPhone yesterday, still no answer",
        "Hallo,\nVon meinem Handy aus kann ich nichts bezahlen!",
        "您好\n从我的手机看不到订单",
        "Прощай.\nС любовью,\nёлки",
        "Koniec.\nPozdrawiam,\nżegnaj",
        "This is the end.\nSent from above",
        "On Monday my boss wrote:\nyou are fired\nI can not take it any more",
        "On page 3 of 2025 she said:\nI am lost",
        "From: Berlin\nDate: Monday\nTo: Munich\nI missed my train and I am furious",
        ">:( not again\n>.< why",
        "The parcel is gone.\nBest,\nAna\nI am furious about order 12345!",
        "The parcel is gone.\nBest,\nAna\nstill waiting for order 12345",
        "The parcel is gone.\nBest,\nAna\n@support I am so mad",
        "The parcel is gone.\nBest,\nAna\nI am mad",
        "The parcel is gone.\nBest,\nAna\n我很生气12345",
        "The parcel is gone.\nBest,\nAna\n😡😡😡",
        "Great product\n--\nBut your support is awful and I am furious",
        "Great product\n--\nTerrible!",
        "Nobody answers.\nGet phone support working, you fools",
        "It broke.Great/awful how you treat people",
        "Meet me at 10:30 in room 5/12/25:\nI am scared",
    ],
)
def test_what_only_looks_like_one_is_read(text: str) -> None:
    assert text_to_read(text, "new") == text


def test_a_postscript_below_a_signature_is_read() -> None:
    assert (
        text_to_read(f"{ANSWER}\nWith love,\nAna\nPS: I am furious", "new") == f"{ANSWER}\nPS: I am furious"
    )


def test_a_long_text_below_a_delimiter_is_no_signature() -> None:
    mail = f"{ANSWER}\n--\n" + "I have been waiting for weeks and nobody tells me why. " * 20
    assert "waiting for weeks" in text_to_read(mail, "new")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("See https://example.org/furious-people?why=anger#sad now", "See now"),
        ("Look (https://example.org/a_(b)/furious), it is here", "Look , it is here"),
        ("I read [your page](https://example.org/joy) and cried", "I read your page and cried"),
        ("I read <https://example.org/joy|your page> and cried", "I read your page and cried"),
        ("Go to www.furious.com!", "Go to !"),
        ("It is on furious.com/angry today", "It is on today"),
        ("Write to furious.customer@example.org please", "Write to please"),
        ("Siehe https://de.example.org/wiki/Wütend, danke", "Siehe , danke"),
    ],
)
def test_addresses_do_not_speak_for_the_author(written: str, read: str) -> None:
    assert text_to_read(written, "new") == read
    assert text_to_read(written, "all") == written


@pytest.mark.parametrize(
    "text",
    [
        "With love, Ana",
        "> I love it",
        "https://example.org/furious",
        "Sent from my iPhone",
        "<br>",
        "-- \nAna",
        "On 3 Nov 2025 at 10:12, Ana wrote:\n> I love it",
        "\u200b",
        "&nbsp;",
    ],
)
def test_a_message_that_is_nothing_else_keeps_its_own_text(text: str) -> None:
    assert text_to_read(text, "new").split() == text.split()


FRAGMENTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from([*ATTRIBUTIONS, *HEADER_BLOCKS, *SIGNATURES, *DISCLAIMERS, ANSWER]),
    st.sampled_from(
        [
            "\n",
            "\r\n",
            " ",
            "> ",
            ">",
            "<",
            "</",
            "b>",
            "<br>",
            "<blockquote>",
            "</blockquote>",
            "<style>",
            "&",
            ";",
        ]
    ),
    st.sampled_from(
        ["amp;", "&amp;", "&lt;", "#38;", "&#x200d;", "-- \n", "https://a.b/c", "www.", "(", ")", "[a]("]
    ),
    st.sampled_from(
        ["ﷺ", "\u200d", "\u200b", "u\u0308", "\u0338", "أ", "👨", "Love,", "Ana", "PS ", "a@b.cd", "wrote:"]
    ),
)
TEXTS = st.lists(FRAGMENTS, max_size=14).map("".join)


@given(TEXTS, st.sampled_from(["new", "all"]))
def test_reading_again_changes_nothing(text: str, parts: str) -> None:
    once = text_to_read(text, parts)  # type: ignore[arg-type]
    assert text_to_read(once, parts) == once  # type: ignore[arg-type]


@given(TEXTS, st.sampled_from(["new", "all"]))
def test_a_text_is_never_emptied_and_never_grows_beyond_its_nfkc_form(text: str, parts: str) -> None:
    read = text_to_read(text, parts)  # type: ignore[arg-type]
    assert bool(read) == bool(text)
    assert len(read) <= max(len(unicodedata.normalize("NFKC", text)), len(text))


@given(
    st.lists(
        st.sampled_from(["I", "am", "so", "sad", "joy", "don't", "it's", "100"]), min_size=1, max_size=30
    )
)
def test_plain_sentences_are_read_as_they_are(words: list[str]) -> None:
    assert text_to_read(" ".join(words), "new") == " ".join(words)


@pytest.mark.parametrize(
    "hostile",
    [
        "<style>",
        "<blockquote>",
        "&amp;",
        "&#",
        "<",
        "<b ",
        ">",
        "http://(",
        "a.",
        "a\n",
        "On 2025 \n",
        "a@",
        "a\u200d",
        "[",
        "<!--",
    ],
)
def test_time_grows_with_the_length_of_a_text_alone(hostile: str) -> None:
    started = time.process_time()
    text_to_read(hostile * (100_000 // len(hostile)), "new")
    assert time.process_time() - started < 10  # what is quadratic takes minutes


@pytest.mark.parametrize(
    "hostile",
    ["&amp" + ";" * 1_200_000, "e" + "\u0338\u0327" * 130_000, "e" + "\u0338\u200d\u0327\u200d" * 130_000],
)
def test_what_stands_in_a_heap_takes_no_more_time_each(hostile: str) -> None:
    started = time.process_time()
    with_plain_characters(hostile)
    assert time.process_time() - started < 10


def begins_with_mark(character: str) -> bool:
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


MARKS = "".join(chr(code) for code in range(sys.maxunicode + 1) if begins_with_mark(chr(code)))


@given(st.text(st.sampled_from(MARKS), min_size=28, max_size=60), st.text(max_size=3), st.text(max_size=3))
def test_a_heap_of_accents_is_read_as_unicode_orders_it(marks: str, before: str, after: str) -> None:
    text = f"{before}e{marks}{after}"
    assert composed(text) == unicodedata.normalize("NFKC", text)
