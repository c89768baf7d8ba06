"""The behavioural set, by how a message is written: at length, in haste, under stress, escaped."""

from typing import Final

FORMS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "long": (
        (
            "joy",
            "I was sceptical when my colleagues talked me into the hiking trip, because I don't sleep"
            " well in tents and the forecast was mixed, but the views were stunning, we sang all the "
            "way down, and I came home grinning from ear to ear. What a wonderful weekend!",
        ),
        (
            "sadness",
            "I moved here two years ago for the job, I thought I would find people quickly, but most "
            "evenings I eat by myself, nobody calls, and at the weekend I walk through the city and "
            "feel more lonely with every couple that passes me. I don't know how much longer I can "
            "take this.",
        ),
        (
            "anger",
            "I ordered on the second, was promised delivery on the fifth, took a day off work, waited"
            " from eight to six, called four times, got four different excuses, and now your agent "
            "tells me it was my own fault. This is an absolute disgrace and I'm done with your lies.",
        ),
        (
            "fear",
            "The letter says I have to come in for more tests on Thursday, it doesn't say why, and "
            "the nurse would not tell me anything on the phone. I've hardly slept, my stomach is in "
            "knots, and every time the phone rings I start to shake because I'm so scared of what "
            "they found.",
        ),
        (
            "love",
            "Thirty years ago you asked me to dance at that awful village party, and I still remember"
            " your hand on my back. We have raised three children, buried our parents, argued about "
            "curtains, and I love you, my dear, as tenderly as on that first night.",
        ),
        (
            "surprise",
            "So I open the door, still in my pyjamas, expecting the postman, and there is my cousin "
            "from Canada whom I haven't seen in eleven years, with a suitcase and a cake. I was "
            "speechless, I honestly could not believe my eyes!",
        ),
        (
            "neutral",
            "To reset the device, hold the power button for ten seconds until the light turns blue, "
            "then connect it to your computer with the cable that came in the box, open the settings "
            "page, choose the second tab, and enter the code that is printed on the bottom of the "
            "device.",
        ),
        (
            "neutral",
            "The committee met on Tuesday at 14:00. Present were eleven of the thirteen members. The "
            "minutes of the last session were read, item four of the agenda was moved to the next "
            "session, and the treasurer presented the figures for the second quarter.",
        ),
        (
            "neutral",
            "I'm moving from Hamburg to Munich on the first of next month and need to change the "
            "address on both of my contracts, the mobile one and the landline one. Can I do this "
            "online or do I have to send you the registration form by post?",
        ),
        (
            "sadness",
            "When we got back from the vet the basket was still by the heater, the leash was still on"
            " the hook, and my son asked when the dog would come home. I had to go outside because I "
            "couldn't stop crying.",
        ),
        (
            "joy",
            "After eleven rejections, two interviews that went nowhere and a winter of instant "
            "noodles, the little publisher in Bath wrote that they want the book. They want it! I "
            "read the mail aloud on the bus and a stranger shook my hand. I haven't stopped smiling "
            "since.",
        ),
        (
            "joy",
            "The choir was a mess at the dress rehearsal, the tenor had a cold and the lights kept "
            "failing. Then the hall filled up and something clicked. We sang like never before, "
            "people stood on their chairs, and I walked home humming through the snow, happy as a "
            "child.",
        ),
        (
            "sadness",
            "Mum asked me to sort the letters. There were hundreds, all from my father, all from "
            "before I was born. I had never known him like that, young and silly. I sat on the attic "
            "stairs until it got dark and cried for the man I never got to meet.",
        ),
        (
            "sadness",
            "We sold the farm in March. Everyone says it was sensible, and they're right, the numbers"
            " were what they were. But yesterday I drove past and there was a stranger's tractor in "
            "the yard, and I had to pull over because I couldn't see the road.",
        ),
        (
            "anger",
            "Your engineer came at seven in the evening instead of nine in the morning, had no "
            "ladder, drilled through the water pipe, said that wasn't his department and left. We "
            "mopped until midnight. And now you send me a bill for a completed installation? How dare"
            " you.",
        ),
        (
            "anger",
            "I have reported the broken lamp on the playground five times since autumn. Five. I've "
            "got the reference numbers. Last night a boy fell there and broke his wrist, and this "
            "morning a letter arrives in which the council congratulates itself on its safety record."
            " It makes my blood boil.",
        ),
        (
            "fear",
            "The landlord's brother has a key. I know because things have moved: the cup, the window,"
            " the photo by my bed. The police say that nothing was taken. So I push the chest against"
            " the door at night and lie there listening, and I'm more afraid with every evening.",
        ),
        (
            "fear",
            "They called my flight and I stood up, and then my legs simply wouldn't. It isn't the "
            "height. It's the door closing. My heart pounds, my hands go cold, I think of the sea "
            "underneath, and I'm terrified that one day I'll miss my own sister's wedding because of "
            "it.",
        ),
        (
            "love",
            "You came home from the night shift, took off your shoes so that the stairs wouldn't "
            "creak, and put the plums by my bed because I'd said once, in March, that I missed plums."
            " I lay there pretending to sleep and thought: I love this man beyond all measure.",
        ),
        (
            "love",
            "My grandfather can't say much since the stroke, but he squeezes my hand twice when I "
            "come in and twice when I leave. It's our word. I've had prouder moments in my life and "
            "louder ones, but I have never felt so tenderly about anybody.",
        ),
        (
            "surprise",
            "I took the old violin in to have a string replaced. The man turned it over, went to "
            "fetch his colleague, and the two of them whispered for a while. Then they told me what "
            "it's worth. I thought that they were joking. I still can't take it in!",
        ),
        (
            "neutral",
            "The workshop takes place on the second floor. Please bring your own laptop and charger. "
            "Lunch is served at half past twelve in the canteen, with a vegetarian dish. If you come "
            "by car, use the lower deck and ask for a ticket at the desk.",
        ),
        (
            "neutral",
            "I've been a member since 2016 and pay by direct debit. In the new portal there are two "
            "tariffs that look the same to me, Basic and Basic Plus. Could you tell me how they "
            "differ and whether I can change in the middle of the year?",
        ),
        (
            "neutral",
            "First remove the old filter and rinse the housing under cold water. Dry it with a cloth."
            " Put the new filter in with the arrow facing you, turn it until it clicks, and run the "
            "machine once without coffee before you use it.",
        ),
        (
            "neutral",
            "We have three rooms for rent in a shared house near the station. The kitchen and the "
            "garden are for everybody. There's a washing machine in the cellar and space for "
            "bicycles. The rent includes water and heating, but not electricity.",
        ),
    ),
    "case": (
        ("joy", "I AM SO EXCITED FOR THE FESTIVAL"),
        ("joy", "What A Glorious Evening"),
        ("joy", "YES YES YES WE DID IT"),
        ("sadness", "I FEEL SO ALONE"),
        ("sadness", "My Cat Died This Morning"),
        ("sadness", "i cAnT sToP cRyInG"),
        ("anger", "STOP SENDING ME THESE EMAILS"),
        ("anger", "THIS IS AN OUTRAGE"),
        ("anger", "You Are A Liar And A Thief"),
        ("fear", "HELP I THINK SOMEONE IS IN MY HOUSE"),
        ("fear", "I Am Terrified Of Spiders"),
        ("love", "I LOVE YOU MORE EVERY DAY"),
        ("love", "Sweetheart, I Miss Your Kisses"),
        ("surprise", "WHAT?! I DID NOT EXPECT YOU HERE"),
        ("surprise", "OMG I AM SO SHOCKED"),
        ("neutral", "PLEASE CONFIRM THE SHIPPING ADDRESS"),
        ("neutral", "Invoice No. 5521 Is Attached"),
        ("neutral", "WHAT ARE YOUR OPENING HOURS"),
        ("joy", "tHIS cAKE iS hEAVENLY"),
        ("sadness", "why IS everyone LEAVING me"),
        ("anger", "DO NOT PUT ME ON HOLD AGAIN"),
        ("fear", "PLEASE HURRY THE SMOKE IS UNDER THE DOOR"),
        ("surprise", "NO WAY THEY PICKED ME"),
        ("neutral", "PARKING PERMIT RENEWAL FORM"),
        ("neutral", "The Meeting Is In Room Two"),
    ),
    "punctuation": (
        ("joy", "finally!!! the sun is out, so happy!!!!"),
        ("joy", "yay... it worked :)"),
        ("joy", "most - fun - in - years"),
        ("sadness", "i just... i feel so lost..."),
        ("sadness", "gone. forever. and i never said goodbye."),
        ("sadness", "why does it hurt so much :("),
        ("anger", "are. you. serious. I'm furious."),
        ("anger", "WHAT IS WRONG WITH YOU PEOPLE???!!!"),
        ("anger", "this $%&# printer makes me so mad"),
        ("fear", "please... don't leave me here, I'm frightened..."),
        ("fear", "what was that noise?! I'm freaking out!"),
        ("love", "you + me = forever, my love"),
        ("surprise", "wait -- what??? no way!!"),
        ("surprise", "she's... pregnant?! wow!!"),
        ("neutral", "size 42, black, 2 pieces"),
        ("neutral", "ok; see attachment (page 3)"),
        ("neutral", "Mon-Fri, 9:00-17:00."),
        ("neutral", "re: re: fwd: minutes of the call"),
        ("neutral", "Platform 4, departing 10:42"),
        ("joy", "We. Are. Going. To. The. Final!"),
        ("sadness", "nobody came... not one person..."),
        ("anger", "Refund?? Where?? It's been SIX weeks!!!"),
        ("fear", "the lift stopped (between floors) & it's dark & i can't breathe"),
        ("surprise", "hold on... that was YOU?!?!"),
        ("neutral", "Tues. 10/6 @ 2:30 p.m."),
    ),
    "typo": (
        ("joy", "im so hapy with my new bike"),
        ("joy", "thnak you so much, this is wonderfull"),
        ("joy", "this is amazng, luv it here"),
        ("sadness", "i feel so lonley and depresed"),
        ("sadness", "evrything is hopless"),
        ("sadness", "im hartbroken she left"),
        ("anger", "im so angrry at this stupid compnay"),
        ("anger", "this is rediculous, i hate it"),
        ("anger", "u guys r so anoying"),
        ("fear", "im scarred of the dark, plz help"),
        ("fear", "so nervus and afriad about the results"),
        ("fear", "terifying dream last nite"),
        ("love", "i lovee you sooo muchh babe"),
        ("love", "my hart belongs to him, i adore him"),
        ("surprise", "im so suprised right now"),
        ("surprise", "woow i am shokced"),
        ("neutral", "wher can i find the manul for this"),
        ("neutral", "plese resend the confirmaton mail"),
        ("joy", "bset day evr, we wonn the cup"),
        ("sadness", "i mis my grandpda so mcuh"),
        ("anger", "yuo lied to my fcae, im livdi"),
        ("fear", "theres somone outsied and im realy scraed"),
        ("love", "your my evrything swetheart"),
        ("neutral", "is teh shop opne on sundya"),
        ("neutral", "cna you chnage the adress on my ordr"),
    ),
    "letters repeated": (
        ("joy", "yaaaaaay we're going to the seaside"),
        ("joy", "soooooo happy for you two"),
        ("joy", "this pizza is amaaaaazing"),
        ("joy", "woooohoooo no school tomorrow"),
        ("joy", "best. concert. everrrrrr"),
        ("sadness", "i miss youuuu, come baaaack"),
        ("sadness", "noooooo not my old dog"),
        ("sadness", "im sooooo lonely in this big house"),
        ("sadness", "whyyyyy did she have to leave us"),
        ("sadness", "feeling reallyyyy down todayyy"),
        ("anger", "uuuuugh not this printer agaaaain"),
        ("anger", "i haaaaate being lied to"),
        ("anger", "sooo sick of your excuuuuses"),
        ("anger", "grrrrr who ate my lunch"),
        ("anger", "stoppppp calling meeee"),
        ("fear", "heeeelp there's a huuuuge spider on my pillow"),
        ("fear", "im soooo scared of the resultsss"),
        ("fear", "omggg somebody is at the window im shakinggg"),
        ("love", "i looooove you to the moon"),
        ("love", "my sweeeet little boyyyy, a thousand kisses"),
        ("surprise", "whaaaaat? she's sixty?"),
        ("surprise", "wooooow did not see that coming"),
        ("neutral", "heyyyy what time do you close"),
        ("neutral", "okayyyy see you at the station"),
        ("neutral", "hmmmm which size is it, M or L"),
    ),
    "emoji": (
        ("joy", "Exams are over 🎉🥳"),
        ("joy", "Beach day 😎☀"),
        ("joy", "that joke 😂😂😂"),
        ("joy", "He finally said his first word 😄"),
        ("sadness", "Home alone again 😢"),
        ("sadness", "She didn't even call 💔"),
        ("sadness", "Rainy Monday and no letter from you 😭"),
        ("anger", "Third time they sent the wrong colour 😡"),
        ("anger", "My neighbour's drill at 6 am 🤬"),
        ("anger", "The bus left without us 😠"),
        ("fear", "Biopsy in an hour 😰"),
        ("fear", "There is a snake in the garden 😱"),
        ("love", "Him and me ❤️"),
        ("love", "Goodnight princess 😘💕"),
        ("love", "My little family 🥰"),
        ("surprise", "They got married?! 😮"),
        ("surprise", "I won the raffle?? 🤯"),
        ("neutral", "Done ✅"),
        ("neutral", "The box is at the reception 📦"),
        ("neutral", "See you at eight 👍"),
        ("joy", "Great job team👏👏"),
        ("sadness", "missing home😔"),
        ("anger", "still waiting for the plumber 😤😤"),
        ("fear", "turbulence again 😨🙏"),
        ("neutral", "Flat 3, second floor 🏢"),
    ),
    "html entities": (
        ("joy", "I&#39;m so happy it&#39;s finally Friday!"),
        ("joy", "We won &amp; we danced till sunrise &lt;3"),
        ("joy", "&quot;You passed&quot; she said, and I hugged the examiner!"),
        ("joy", "Sun &amp; sea &amp; nothing to do, bliss"),
        ("sadness", "I can&#39;t stop crying since she left"),
        ("sadness", "He&#39;s gone &amp; the flat is so empty"),
        ("sadness", "It&#x27;s been a year and I still miss mum every day"),
        ("sadness", "nobody remembered my birthday &lt;/3"),
        ("anger", "I&#39;m furious &amp; I want my money back"),
        ("anger", "You&#39;ve lied to me for months!"),
        ("anger", "&quot;Valued customer&quot; my foot, you people are thieves"),
        ("anger", "Don&rsquo;t you dare touch my things again"),
        ("fear", "I&#39;m scared to open the letter"),
        ("fear", "There&#39;s a man in the garden &amp; I&#39;m alone"),
        ("fear", "What if it&#39;s cancer? I&#39;m shaking"),
        ("love", "I love you, you&#39;re my whole world &lt;3"),
        ("love", "Kisses &amp; hugs to the sweetest gran"),
        ("love", "You &amp; me, my darling, for ever"),
        ("surprise", "Wait, you&#39;re MARRIED?!"),
        ("surprise", "I couldn&#39;t believe my eyes, it was snowing in June"),
        ("neutral", "Opening hours: Mon&ndash;Fri 9&nbsp;to&nbsp;5"),
        ("neutral", "Is the size &gt; 40 in stock?"),
        ("neutral", "Terms &amp; conditions are on page 2"),
        ("neutral", "It&#39;s the second door on the left"),
        ("neutral", "Price: &euro;12 &amp; &euro;3 shipping"),
    ),
}  # fmt: skip
"""By how it is written, 25 cases a kind; ``training.data.behaviour_cases`` says what a case is."""
