package model

import (
	"regexp"
	"sync"

	"github.com/bctrl-go/bctrl"
)

// habits are what the answers of a model have taught about it. Models and the servers
// before them differ, and no list of them stays true: what a refusal taught is kept for
// the life of the chat.
type habits struct {
	// sight is what is known about pictures.
	sight sight
	// textCalls says that tools are refused: they are described in the text, and called
	// in it.
	textCalls bool
	// noSystem says that there may be no system message: its text begins the first
	// message of the user.
	noSystem bool
	// noCaching says that nothing may be marked for caching.
	noCaching bool
	// effortNone says that tools are called without reasoning only.
	effortNone bool
	// tokensField is the field that bounds an answer, where the usual one is refused.
	tokensField string
	// mostTokens is the longest answer that may be asked for; 0 is not known.
	mostTokens int
}

// complaint is what a refusal says is wrong with a question.
type complaint int

const (
	noComplaint complaint = iota
	aboutTools
	aboutPictures
	// aboutThisPicture is about one picture, its size for example.
	aboutThisPicture
	aboutSystem
	aboutCaching
	aboutEffort
	aboutTokensField
	// aboutTokens is a bound of the answer that the model does not reach.
	aboutTokens
)

// onlyOnce reports whether the complaint is about one question and not the model.
func (c complaint) onlyOnce() bool { return c == aboutThisPicture }

// leastAnswer is the smallest bound, in tokens, that an answer is asked for with.
const leastAnswer = 256

// learnFrom changes h so that the next question does without what was complained about.
// It reports false where nothing is left to change.
func (h *habits) learnFrom(c complaint, sent question) bool {
	switch {
	case c == aboutEffort && !h.textCalls && !h.effortNone:
		h.effortNone = true
	case (c == aboutTools || c == aboutEffort) && !h.textCalls && len(sent.Tools) > 0:
		h.textCalls, h.effortNone = true, false
	case (c == aboutPictures || c == aboutThisPicture) && hasPictures(sent.Request):
		h.sight = blind
	case c == aboutSystem && !h.noSystem && sent.System != "":
		h.noSystem = true
	case c == aboutCaching && !h.noCaching:
		h.noCaching = true
	case c == aboutTokensField && h.tokensField == "":
		h.tokensField = otherTokensField(sent)
	case c == aboutTokens && sent.maxTokens/2 >= leastAnswer:
		h.mostTokens = sent.maxTokens / 2
	default:
		return false
	}
	return true
}

// adapt returns q as a model with these habits takes it.
func (h habits) adapt(q question) question {
	if h.sight == blind {
		q.Messages = withoutPictures(q.Messages)
	}
	if h.textCalls && len(q.Tools) > 0 {
		q.Request = inText(q.Request)
	}
	if h.noSystem && q.System != "" {
		q.Messages = append([]Message{{Role: User, Text: q.System}}, q.Messages...)
		q.System = ""
		if q.Stable > 0 {
			q.Stable++
		}
	}
	if h.textCalls || h.noSystem {
		q.Messages, q.Stable = joinUsers(q.Messages), 0
	}
	if h.mostTokens > 0 {
		q.maxTokens = min(q.maxTokens, h.mostTokens)
	}
	return q
}

// withoutPictures says that there were some.
func withoutPictures(messages []Message) []Message {
	out := make([]Message, len(messages))
	for i, m := range messages {
		if len(m.Images) > 0 {
			m.Images = nil
			m.Text += "\n\n(a picture is left out, because you take none)"
		}
		out[i] = m
	}
	return out
}

// joinUsers makes neighbours of the user one message: the templates of many open models
// refuse a conversation whose roles do not alternate.
func joinUsers(messages []Message) []Message {
	var out []Message
	for _, m := range messages {
		last := len(out) - 1
		if last < 0 || m.Role != User || out[last].Role != User {
			out = append(out, m)
			continue
		}
		out[last].Text += "\n\n" + m.Text
		out[last].Images = append(out[last].Images[:len(out[last].Images):len(out[last].Images)], m.Images...)
	}
	return out
}

// complaintOf finds out what a refusal is about from the parameter that it names and
// from its words, of which nothing is repeated. Where the words are quoted from the
// question, the worst that follows is a question that is asked in plainer form.
func complaintOf(param, words string) complaint {
	says := func(pattern string) bool { return regexp.MustCompile("(?i)" + pattern).MatchString(words) }
	switch param {
	case "reasoning_effort":
		return aboutEffort
	case "tools", "tool_choice":
		return aboutTools
	case "max_tokens", "max_completion_tokens":
		if says(tooManyTokens) {
			return aboutTokens
		}
		return aboutTokensField
	}
	switch {
	case says(`cache_control`):
		return aboutCaching
	case says(tooManyTokens):
		return aboutTokens
	case says(`(image|picture)s?\b.*(too (large|big)|exceed|dimension|resolution|decode|corrupt|megapixel)`):
		return aboutThisPicture
	case says(`(image|picture|vision|multi-?modal)`) && says(notTaken):
		return aboutPictures
	case says(`\btools?\b|tool[ _-](use|choice|call|param)|function[ _-]?call`) && !says(`tool_call_id`) && says(notTaken):
		return aboutTools
	case says(`max(_completion)?_tokens\b`) && says(notTaken):
		return aboutTokensField
	case says(`system (role|message|prompt)s?\b`) && says(notTaken):
		return aboutSystem
	}
	return noComplaint
}

const (
	// notTaken is how servers say that something is not for a model.
	notTaken = `(not|n't|no endpoints|un)[ -]?(\w+ )?` +
		`(support|allow|permit|accept|enabled|available|found|recogni[sz]ed)|` +
		`unsupported|unknown|requires?\b|not a (multi-?modal|vision)|extra (inputs|fields)|missing data required|` +
		`only text|text[- ]only|must be (text|string)`
	// tooManyTokens is how they say that the bound of the answer is too high.
	tooManyTokens = `max(_completion)?_tokens\W.*(too (large|big|high)|>|at most|less than|exceed|maximum)|` +
		`tokens.*\bin the completion`
)

// learned is what a chat knows of its models.
type learned struct {
	provider bctrl.AIProvider
	mu       sync.Mutex
	byModel  map[string]habits
}

// maxLearned bounds for how many models a chat remembers something.
const maxLearned = 1000

// of returns what is known of a model.
func (l *learned) of(model string) habits {
	l.mu.Lock()
	h, known := l.byModel[model]
	l.mu.Unlock()
	if !known {
		h = habits{sight: sightOf(l.provider, model)}
		l.keep(model, h)
	}
	return h
}

// keep remembers what is known of a model.
func (l *learned) keep(model string, h habits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byModel == nil || len(l.byModel) >= maxLearned {
		l.byModel = make(map[string]habits)
	}
	l.byModel[model] = h
}
