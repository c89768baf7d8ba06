"""Examples written for this project: what none of the data sets holds enough of.

Negation ("not happy"), feelings said without "feel", names of feelings that are only mentioned, and the
plain support messages that most of a real stream consists of. Patterns are filled with words at random,
seeded. The behavioural test set (``training.evaluate.behaviour``) was written separately and shares neither
sentences nor patterns with these.
"""

import random
import re
from typing import Final

from model.labels import NEUTRAL
from training.data.rows import Row

_SLOT: Final = re.compile(r"\{(\w+)\}")

WORDS: Final = {
    "happy": (
        "happy", "glad", "pleased", "cheerful", "excited", "content", "thrilled", "delighted",
    ),
    "sad": (
        "sad", "miserable", "lonely", "heartbroken", "depressed", "down", "hopeless", "gutted", "empty",
    ),
    "angry": (
        "angry", "furious", "mad", "livid", "annoyed", "irritated", "pissed off", "fed up", "outraged",
    ),
    "afraid": (
        "afraid", "scared", "worried", "terrified", "anxious", "nervous", "frightened", "panicking",
    ),
    "loving": (
        "fond of", "in love with", "crazy about", "so attached to", "devoted to",
    ),
    "surprised": (
        "surprised", "shocked", "amazed", "stunned", "astonished", "speechless",
    ),
    "very": (
        "so", "really", "very", "extremely", "absolutely", "incredibly", "totally", "quite", "pretty",
        "a bit",
    ),
    "who": (
        "my sister", "my husband", "my wife", "my daughter", "my little brother", "my grandma",
        "my best friend", "my boyfriend", "my mum", "you", "you all", "my team", "our dog",
    ),
    "event": (
        "the interview", "the exam", "the surgery", "the move", "tomorrow", "the meeting",
        "the test results", "the flight", "the baby", "the future", "my job", "the bills",
    ),
    "bad": (
        "broke", "got lost again", "was cancelled", "arrived smashed", "crashed twice today",
        "got charged twice", "stopped working", "never showed up", "was rude to me",
        "got delayed for five hours",
    ),
    "thing": (
        "my order", "the app", "your website", "the delivery", "my laptop", "the driver", "my flight",
        "the update", "my subscription", "the parcel", "the package", "this phone",
    ),
    "good": (
        "amazing", "wonderful", "fantastic", "lovely", "brilliant", "awesome", "perfect", "great",
        "beautiful",
    ),
    "nice": (
        "day", "morning", "weekend", "concert", "party", "trip", "dinner", "view", "game", "holiday",
        "wedding",
    ),
    "nice_thing": (
        "a picnic by the lake", "breakfast in bed", "a letter from my son", "a day at the zoo",
        "fresh bread", "a call from home", "cake for everyone", "a visit from friends", "a quiet evening",
        "snow for Christmas",
    ),
    "happy_time": (
        "fun", "nice", "enjoyable", "relaxing", "pleasant", "exciting",
    ),
    "service": (
        "the invoice", "my password", "the delivery address", "my account", "the phone number",
        "the receipt", "my appointment", "the booking", "the payment method", "the tracking number",
        "the plan", "the size",
    ),
    "number": (
        "123", "48213", "A-7781", "20551", "998-21", "7", "15", "3304", "B12", "64000",
    ),
    "when": (
        "today", "on Monday", "at 5 pm", "next week", "tomorrow morning", "on the 14th", "by Friday",
        "this afternoon", "at noon", "in March",
    ),
    "place": (
        "the office", "Berlin", "the warehouse", "room 204", "the station", "the front desk", "Leeds",
        "gate 12",
    ),
    "title": (
        "Fear Street", "Happy Feet", "Mad Men", "The Joy of Painting", "Sad Songs Vol. 2", "Love Island",
        "Surprise Party", "Angry Birds", "Panic Room", "Crazy Love", "Hate Mail", "Anger Management",
    ),
    "word": (
        "happy", "sad", "angry", "fear", "love", "hate", "surprise", "scared", "furious", "joy", "lonely",
    ),
}  # fmt: skip

PATTERNS: Final = {
    "sadness": (
        "I was hoping for {nice_thing}, but it never came", "{who} left and the house is so quiet",
        "it's {who}'s first birthday since the accident", "my grandfather died {when}",
        "I got rejected again", "they let me go after {number} years", "nobody came to my {nice}",
        "we had to put our dog to sleep", "I failed {event} again", "I don't see the point anymore",
        "that {nice} wasn't {happy_time} at all", "it's not the same without {who}",
        "I never get invited to any {nice}", "there is nothing left to look forward to",
        "I wouldn't call it a {good} {nice}", "no one ever asks how I am",
        "I can't remember the last time I was {happy}", "{who} doesn't love me anymore",
        "we broke up {when}", "I had to say goodbye to {who} {when}",
        "I keep looking at old photos and crying", "crying in the bathroom at work again",
        "I wish {who} were still here", "all my savings are gone", "that is so {sad}",
        "feeling {sad} {when}",
        "I'm not {happy}.", "I am not {happy} at all", "not {very} {happy} today",
        "I don't feel {good} anymore", "I haven't been {happy} in months",
        "nothing makes me {happy} these days", "I can't be {happy} without {who}", "I'm {very} {sad}",
        "{very} {sad} right now", "I've been {sad} since {who} left", "I miss {who} so much",
        "I cried all night", "I just want to cry", "everything feels {sad}",
        "it hurts that {who} forgot me", "I lost {who} last year and it still hurts",
        "nobody would notice if I was gone", "I feel like giving up",
        "it breaks my heart to see {who} like this", "I'm sorry, I let {who} down",
        "I wish I had never said that to {who}", "such a disappointing {nice}",
        "so disappointed with {thing}", "{who} passed away {when}", "I have no one to talk to",
        "the {nice} was a let-down, I expected more", "I failed {event} and I'm {sad}",
        "I don't enjoy anything anymore", "I thought I'd be {happy}, but I'm just {sad}",
        "I was {happy} yesterday, today I'm {sad}",
    ),
    "joy": (
        "we are having {nice_thing}!", "I finished {event} and it feels {good}",
        "the kids had a {good} {nice}", "could not be better", "couldn't have hoped for more",
        "nothing beats a {good} {nice}", "hooray, it works!", "woohoo, we made it", "yesss",
        "you made me smile", "that went better than expected", "look at that view, {good}",
        "I can't believe I won, this is {good}", "how {good} is this {nice}!",
        "first {nice} in years and I enjoyed every minute", "I laughed until my belly hurt",
        "we reached the top!", "congratulations, well deserved!", "not bad at all, I like it",
        "I don't think I have ever been so {happy}", "{thing} is {good}, love it",
        "really enjoying {nice_thing}", "big smile on my face", "we danced the whole night",
        "proud mum here, she got the prize", "this is {good}, thx",
        "{who} got the job, I'm {very} {happy}",
        "I'm {very} {happy}", "couldn't be happier about {event}", "what a {good} {nice}!",
        "this {nice} was {good}", "best {nice} ever", "I'm not {sad} anymore, today is {good}",
        "not {sad} at all, it was {good}!", "thank you, that was {good}!",
        "thanks a lot, {thing} works again and it's {good}", "we won! {good}!", "I got the job!!",
        "{who} said yes!", "I passed {event}!", "finally on holiday, {good}", "so proud of {who}",
        "can't stop smiling", "I can't wait for {event}, it will be {good}", "haha that's {good}",
        "that made my day", "{thing} arrived early, {good}", "your support is {good}, thanks!",
        "I was {sad} but now I'm {happy}", "I used to be {afraid}, now I'm {happy}",
        "such a relief, {event} went well", "good news: {event} went {good}", "never been this {happy}",
        "life is {good} right now", "no complaints at all, {good} service",
        "can't believe how {good} this {nice} was", "look how {good} the {nice} turned out!",
    ),
    "love": (
        "good night my love", "I kissed {who} and my heart melted", "{who} is my soulmate",
        "head over heels for {who}", "I have a crush on {who}", "I fell for {who}",
        "hugs and kisses to {who}", "we've been married for {number} years and I still adore {who}",
        "you mean so much to me", "I cherish every minute with {who}",
        "dear, come home, I miss holding you", "so in love right now", "I will always be there for {who}",
        "be my valentine", "tender thoughts for {who}", "I love {who} so much", "I'm {loving} {who}",
        "I adore {who}", "love you to the moon and back", "{who} means the world to me",
        "sending hugs to {who}", "thinking of {who} with all my heart",
        "I've never been {loving} anyone like this", "can't stop thinking about {who}, I love them",
        "I want to spend my life with {who}", "you are my everything",
        "take care of yourself, {who} needs you", "I care about {who} deeply",
        "I don't just like {who}, I love them", "missing your kisses, darling",
        "{who} is so sweet to me, I'm in love", "I can't imagine life without {who}, my love",
        "we love {who} to bits", "holding {who} in my arms is everything", "my heart belongs to {who}",
    ),
    "anger": (
        "great, {thing} {bad}. Just great.", "oh wonderful, {thing} {bad} again",
        "thanks a lot for nothing, {thing} {bad}", "nice job, {thing} {bad}",
        "well done, you lost {thing} again", "how kind of you to let me wait {number} hours",
        "brilliant service, {thing} {bad} and nobody cares", "sure, take my money and never answer",
        "just perfect, {thing} {bad}", "stop calling me", "stop this nonsense now", "you stole from me",
        "someone scratched {thing} and ran away", "don't blame {who} for your own failure",
        "you broke your promise", "get lost", "what a rip-off", "shame on you",
        "pathetic excuse for a service", "they hung up on me", "I paid for this and {thing} {bad}",
        "who let {who} park in front of my door", "I'm so done with this", "you lied to {who}",
        "how could {who} do this behind my back", "this company is a joke",
        "my neighbour keeps me awake every night, I've had it",
        "this is the {number}th time {thing} {bad}", "grrr", "idiots, all of them",
        "I'm {very} {angry}", "{thing} {bad} and I'm {angry}", "{thing} {bad} AGAIN, unacceptable",
        "this is ridiculous", "how dare {who} talk to me like that", "how could you lie to me",
        "why did you go behind my back", "what the hell, {thing} {bad}", "I hate {thing}",
        "worst service ever, {thing} {bad}", "stop lying to me", "I want my money back, this is a scam",
        "are you kidding me? {thing} {bad}", "I've had enough of {thing}",
        "I've been waiting for three hours, this is a joke", "{who} makes me {angry}",
        "this makes my blood boil", "not {happy} with your service, {thing} {bad}",
        "I don't care about your excuses, {thing} {bad}", "shut up already", "you people are useless",
        "disgusting behaviour from {who}", "who do you think you are", "I'm sick of {thing}",
        "your staff treated me like dirt", "nobody answers the phone, it drives me mad",
        "I am not calm, I'm {angry}", "you promised, and {thing} still {bad}",
    ),
    "fear": (
        "what if they find out", "what if {who} doesn't wake up",
        "the doctor wants to see me again, what is it", "I think we are going to crash",
        "he knows where I live", "I might lose {thing} and my home", "I lock the door three times",
        "I hear steps behind me", "I don't dare to open the mail", "I dare not tell {who}",
        "I can't calm down before {event}", "I can't breathe, {event} is {when}",
        "the plane is shaking badly", "I had a nightmare about {who}", "he threatened me",
        "we could die here", "is it cancer?", "freaking out about {event}", "tense before {event}",
        "butterflies, and not the good kind, {event} is {when}", "something bad is going to happen",
        "I keep checking on {who}, what if something happens", "they may arrest {who}",
        "trembling before {event}", "I'm {very} {afraid}", "I'm {afraid} about {event}",
        "what if {event} goes wrong", "{event} scares me", "I can't sleep, {afraid} about {event}",
        "my hands are shaking", "I'm having a panic attack", "somebody is following me, I'm {afraid}",
        "I don't feel safe", "I don't feel safe at home", "please help, I'm {afraid}",
        "I'm not ready for {event}, I'm {afraid}", "never been so {afraid}",
        "there's a noise downstairs and I'm {afraid}", "I dread {event}", "I'm {afraid} of losing {who}",
        "{very} {afraid} to open the letter", "my heart is racing, {event} is {when}",
        "I'm {afraid} they will fire me", "it was terrifying", "that gave me chills, I'm {afraid}",
        "I'm losing sleep over {event}",
    ),
    "surprise": (
        "I would never have guessed", "{who} proposed, just like that!", "suddenly {who} stood there",
        "wait what", "whaaat", "OMG {who} did what?", "I had no idea!", "that was unexpected",
        "not what I was expecting!", "how is that even possible?!", "turns out {who} knew all along, wow",
        "seriously? {event} is {when}?!", "I could not believe my ears", "mind blown",
        "well, that came as a shock", "I'm blown away", "{who} is pregnant, what?!",
        "never in my life did I expect {nice_thing}", "wow, I didn't expect that",
        "I'm {very} {surprised}", "oh my god, really?!", "no way!", "wait, what?!",
        "I never thought {who} would do that, wow", "I did not see that coming",
        "{who} turned up out of nowhere!", "I'm {surprised} that {thing} came so soon",
        "what a plot twist", "you're kidding, {event} is {when}?!", "is that real? I'm {surprised}",
        "that came out of the blue", "I was {surprised} to hear about {event}", "who would have thought",
        "whoa, that's unexpected", "I can't believe it, {who} is here?!", "huh, that is odd!",
        "never expected {thing} to do that", "my jaw dropped",
    ),
    NEUTRAL: (
        "{who} works at {place}", "{who} is {number} years old", "the {nice} is on {when}",
        "the {nice} starts {when} at {place}", "I sent {service} {when}", "please stop by {place} {when}",
        "STOP the subscription {when} please", "The bus to {place} is number {number}.",
        "{thing} has {number} parts", "We have {number} of them in stock.",
        'he said "{word}" and she said "{word}"', 'file {number} is called "{word}"',
        "see you {when}", "received, thank you", "I am waiting for {service}",
        "I haven't received {service} yet", "Not yet.", "I don't have {service} with me",
        "Open from {number} to {number}", "{number} x {number} cm",
        "Can someone tell me how {thing} works?", "Where do I find {thing}?",
        "my order number is {number}", "Where can I change {service}?", "How do I update {service}?", "ok",
        "Okay, got it.", "The meeting is {when}.", "I'll be at {place} {when}",
        "Please send {service} to {place}", "Can you check {service}?",
        "I have a question about {service}", "what time do you open {when}?", "is {place} open {when}?",
        "My ticket is {number}, booked {when}.", "Hi, I'd like to change {service}",
        "Hello, is this the right number?", "I need to reset {service}", "Do you ship to {place}?",
        "the code is {number}", "{thing} is at {place}", "Could you tell me where {place} is?",
        "Reference {number}, {when}.", "I moved to {place} {when}",
        "The train leaves {when} from {place}.", "Does the plan include {service}?",
        "we are watching {title} {when}", 'The film is called "{title}".',
        'the word "{word}" has {number} letters', 'My password hint is "{word}"',
        "I'm reading {title} for class", 'what does "{word}" mean in Spanish?', 'search for "{title}"',
        "not {angry}, just asking about {service}", "I'm not {sad}, just tired",
        "I'm not {afraid}, just asking", "no problem", "nothing to worry about", "not bad, not good",
        "it's fine", "nothing special today", "I am neither {happy} nor {sad}",
        "My name is Robin and my account is {number}.", "thanks in advance", "attached is {service}",
        "sent from my phone", "I work at {place}", "it costs {number} euros",
        "I ordered {number} of them {when}", "forwarding {service} as requested",
        "yes, {when} works for me", "no, {when} does not work", "How many seats are left {when}?",
        "turn off notifications", "unsubscribe", "The article about {word} in {title} is on page {number}",
        "let me know {when}", "please call {number}", "Is {service} the same as before?",
        "can I pay {when}?", "{thing} needs a new battery, model {number}",
        "the lesson covers {word} and {word}", "our survey asks how {word} people are",
    ),
}  # fmt: skip


def written_rows(count: int, seed: int) -> list[Row]:
    """``count`` examples, each label about equally often and neutral twice as often; the same seed, the
    same rows.
    """
    rng = random.Random(f"written {seed}")
    labels = [*PATTERNS, NEUTRAL]
    return [_row(labels[number % len(labels)], rng) for number in range(count)]


def _row(label: str, rng: random.Random) -> Row:
    text = _SLOT.sub(lambda slot: rng.choice(WORDS[slot[1]]), rng.choice(PATTERNS[label]))
    if rng.random() < 0.3:
        text = text.rstrip(".!")
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    return Row(text, label, "written")
