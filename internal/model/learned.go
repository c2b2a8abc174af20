package model

import (
	"sync"

	"github.com/bctrl-go/bctrl"
)

// habits are what the answers of a model have taught about it. Models differ, and no
// list of models stays true: what a refusal taught is kept for the life of the chat.
type habits struct {
	// sight is what is known about pictures.
	sight sight
	// effortNone and completionTokens are of OpenAI's shape: see openAI.adaptTo.
	effortNone, completionTokens bool
}

// learned is what a chat knows of its models.
type learned struct {
	provider bctrl.AIProvider
	mu       sync.Mutex
	byModel  map[string]habits
}

// of returns what is known of a model.
func (l *learned) of(model string) habits {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, known := l.byModel[model]
	if !known {
		h = habits{sight: sightOf(l.provider, model)}
		l.keep(model, h)
	}
	return h
}

// learn changes what is known of a model.
func (l *learned) learn(model string, change func(*habits)) {
	h := l.of(model)
	change(&h)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(model, h)
}

// maxLearned bounds for how many models a chat remembers something.
const maxLearned = 1000

func (l *learned) keep(model string, h habits) {
	if l.byModel == nil || len(l.byModel) >= maxLearned {
		l.byModel = make(map[string]habits)
	}
	l.byModel[model] = h
}
