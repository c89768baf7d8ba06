"""The behavioural test set: messages written to see whether a model reads what people really write.

CheckList style (Ribeiro et al., ACL 2020): each kind tests one ability. Written apart from
``training.data.written``, with other sentences and patterns; the leakage guards hold the
two apart. A label with an alternative ("sadness|fear") accepts either: the message carries
both.
"""

from typing import Final

from training.data.rows import Row

Case = tuple[str, str]
"""Accepted labels, separated by "|", and the message."""

CASES: Final[dict[str, tuple[Case, ...]]] = {
    "negation": (
        ("sadness", "Honestly this hasn't been a good week for me."),
        ("sadness|anger", "I wouldn't say I'm pleased with how it ended."),
        ("sadness", "There is no joy left in this house."),
        ("sadness", "I never feel wanted by anybody."),
        ("sadness|anger", "That wasn't fun at all."),
        ("sadness|anger", "It's not what I hoped for."),
        ("sadness", "We are not okay since the funeral."),
        ("sadness", "Not feeling great, stayed in bed the whole day."),
        ("sadness|love", "I don't love him anymore and that is hard to admit."),
        ("joy|neutral", "It isn't bad, I actually enjoyed it."),
        ("joy", "I have never laughed harder in my life!"),
        ("joy", "Couldn't ask for a better birthday."),
        ("joy", "I'm no longer depressed, the therapy really helped and I feel alive."),
        ("joy", "Nothing could ruin my mood right now!"),
        ("joy", "I don't regret a thing, that was the best summer."),
        ("joy|neutral", "No worries at all, I'm doing great."),
        ("fear", "I don't dare to go out after dark."),
        ("fear", "There's no way I can calm down before the operation."),
        ("fear|sadness", "I can't shake the feeling that something terrible will happen."),
        ("anger", "I will not accept this insult."),
        ("anger", "You never listen and I can't stand it any longer!"),
        ("anger", "Don't you ever speak to her like that again!"),
        ("neutral", "No, I haven't received the form yet."),
        ("neutral", "I don't need anything else."),
        ("neutral", "She is not at her desk."),
        ("neutral|joy", "I'm not upset, all good."),
    ),
    "intensifier": (
        ("joy", "I'm over the moon about the promotion!"),
        ("joy", "This is seriously the coolest gift I've ever got."),
        ("joy", "Slightly proud of myself today."),
        ("joy", "we had an insanely fun night"),
        ("sadness", "I'm utterly crushed by the news."),
        ("sadness", "feeling a little blue tonight"),
        ("sadness", "so deeply ashamed of what I did"),
        ("anger", "I am beyond annoyed with this company."),
        ("anger", "That is the single most infuriating call I've had."),
        ("anger", "kinda irritated by the noise upstairs"),
        ("anger", "I'm absolutely boiling with rage."),
        ("fear", "I'm scared to death of needles."),
        ("fear", "a tiny bit uneasy about walking home alone"),
        ("fear", "Extremely tense before the verdict."),
        ("love", "I love my kids more than anything."),
        ("love", "completely smitten with her"),
        ("love", "I have a real soft spot for that old man, I adore him"),
        ("surprise", "I'm totally floored, did that really happen?"),
        ("surprise", "utterly astonished by her answer"),
        ("surprise", "That was a hugely unexpected ending!"),
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
    ),
    "plain": (
        ("joy", "We got the house we wanted!"),
        ("joy", "Your colleague was super helpful, thank you!"),
        ("joy", "I can't believe how beautiful this day is!"),
        ("joy", "Just finished my first marathon, what a feeling."),
        ("joy", "My kid learned to ride a bike today and I'm beaming."),
        ("sadness", "Dad is in hospital and I can't be with him."),
        ("sadness", "They closed the little bookshop I grew up in."),
        ("sadness", "I keep thinking about everything I've lost."),
        ("sadness", "I'm tired of pretending that I'm fine."),
        ("anger", "Why would you betray me like this?"),
        ("anger", "Someone keyed my car and drove off."),
        ("anger", "I paid for express shipping and it took three weeks, shame on you."),
        ("anger", "Quit blaming me for your mistakes."),
        ("anger", "Your hotline hung up on me twice. Pathetic."),
        ("fear", "I think I'm going to lose my flat and I don't know where to go."),
        ("fear", "The pilot said to brace and I thought we'd die."),
        ("fear", "My ex knows where I live now and I lock every door."),
        ("fear", "What if the tumour is back?"),
        ("love", "Can't wait to hold you again, my darling."),
        ("love", "Happy anniversary to the most loving husband."),
        ("love", "I'd do anything for my granddaughter, she has my heart."),
        ("surprise", "I never would have guessed that it was you!"),
        ("surprise", "Out of nowhere he proposed on the bus."),
        ("surprise", "Well, that's not the result I was expecting!"),
    ),
    "neutral": (
        ("neutral", "How long does the transfer take?"),
        ("neutral", "Which documents do I need to bring?"),
        ("neutral", "The bus stop is opposite the library."),
        ("neutral", "I'd like to book a table for four."),
        ("neutral", "Can I get a copy of the contract?"),
        ("neutral", "Our team has twelve members."),
        ("neutral", "It rains in the north and is dry in the south."),
        ("neutral", "Please use the back entrance."),
        ("neutral", "My customer id is 7730912."),
        ("neutral", "Do you have this shirt in medium?"),
        ("neutral", "The recipe needs two eggs and some flour."),
        ("neutral", "I switched from the monthly to the yearly tariff."),
        ("neutral", "Is there parking near the venue?"),
        ("neutral", "Press the button for two seconds."),
        ("neutral", "The museum was built in 1884."),
        ("neutral", "He works as an electrician."),
        ("neutral", "Where do I enter the voucher code?"),
        ("neutral", "Moving the call to half past three."),
        ("neutral", "We deliver to Austria and Switzerland."),
        ("neutral", "Could you resend the link?"),
        ("neutral", "I have two accounts and want to merge them."),
        ("neutral", "Platform 4, departing 10:42"),
        ("neutral", "The printer is out of paper."),
        ("neutral", "Water boils at one hundred degrees."),
        ("neutral", "What is the wifi password?"),
        ("neutral", "My appointment is on the 3rd."),
        ("neutral", "Add me to the list, please."),
        ("neutral", "He parked the van behind the shop."),
        ("neutral", "The package weighs 2 kg."),
        ("neutral", "I am writing to ask about the vacancy."),
    ),
    "quoted": (
        ("neutral", 'The band is called "The Sad Lovers".'),
        ("neutral", 'How do you spell "embarrassed"?'),
        ("neutral", 'Page 12 defines "fear" as a response to danger.'),
        ("neutral", 'Her username is "angry_panda".'),
        ("neutral", "Inside Out has characters named Joy, Sadness and Anger."),
        ("neutral", 'Search result for "how to write a love letter": 14 pages.'),
        ("neutral", 'The file is named "happy_birthday.pdf".'),
        ("neutral", 'The subject line should say "surprise inspection".'),
        ("neutral", 'Translate "I am afraid" into French.'),
        ("neutral", 'Our wifi network is "LonelyIsland".'),
        ("anger", 'He called me "useless" in front of everyone and I could scream.'),
        ("sadness", 'She said "we should just be friends" and I have been crying since.'),
        ("joy", 'They said "you\'re hired" and I danced around the kitchen!'),
        ("love", '"Yes" she said, and I kissed the woman I love.'),
    ),
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
    ),
    "hard: sarcasm": (
        ("anger", "Oh great, another update that breaks everything. Well done."),
        ("anger", "Wow, only two hours on hold. Impressive service."),
        ("anger", "Sure, lose my luggage again, I love buying new clothes."),
        ("anger|sadness", "Fantastic, it's raining through the roof you just repaired."),
        ("anger", "Thanks for nothing."),
        ("anger", "Yeah right, because your last promise worked out so well."),
        ("sadness|anger", "Just what I needed today, a flat tyre."),
        ("anger", "How lovely of you to cancel five minutes before."),
        ("anger", "Brilliant idea, let's close the only lift in the building."),
        ("sadness", "My social life? A thriving relationship with my ceiling."),
        ("anger", "Ten out of ten, would be ignored by your staff again."),
        ("anger", "Nice, charged twice. You must really like me."),
    ),
}  # fmt: skip


def behavioural_rows() -> list[Row]:
    """The set's messages, to be kept out of training; of several right labels the first."""
    return [
        Row(text, labels.split("|")[0], "behaviour") for group in CASES.values() for labels, text in group
    ]
