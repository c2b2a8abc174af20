package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/model"
)

const (
	// bytesPerToken is how long a token is about, where nobody has counted them.
	bytesPerToken = 4
	// minAnswer is the shortest answer, in tokens, for which a question is worth asking.
	minAnswer = 256
	// maxAnswer bounds an answer in tokens.
	maxAnswer = 8192
	// imageTokens is about what a picture of a page takes.
	imageTokens = 1500
	// maxCounted bounds what one answer is believed to have taken: no provider's
	// number can make a sum overflow.
	maxCounted = 1 << 40
)

// limitError ends a task because of a bound.
type limitError struct {
	limit   bctrl.Limit
	message string
}

func (l *limitError) Error() string { return l.message }

func isLimit(err error) bool {
	_, ok := errors.AsType[*limitError](err)
	return ok
}

// modelKey tells apart what a task has asked.
type modelKey struct {
	provider          bctrl.AIProvider
	model, credential string
}

type modelSpending struct {
	calls int
	model.Usage
}

// spending is what a task has taken of models.
type spending struct {
	total   modelSpending
	byModel map[modelKey]*modelSpending
	// last is who has answered last, of each chat.
	last map[model.Chat]lastAnswer
}

// lastAnswer says who was asked, as was known before, and who has answered: a provider may
// have a longer name for the same model.
type lastAnswer struct{ asked, answered modelKey }

func (s *spending) add(key modelKey, u model.Usage) {
	if s.byModel == nil {
		s.byModel = make(map[modelKey]*modelSpending)
	}
	if s.byModel[key] == nil {
		s.byModel[key] = &modelSpending{}
	}
	for _, sum := range []*modelSpending{&s.total, s.byModel[key]} {
		sum.calls++
		sum.InputTokens += u.InputTokens
		sum.OutputTokens += u.OutputTokens
		sum.CachedInputTokens += u.CachedInputTokens
	}
}

// answered notes who has answered.
func (s *spending) answered(chat model.Chat, last lastAnswer) {
	if s.last == nil {
		s.last = make(map[model.Chat]lastAnswer)
	}
	s.last[chat] = last
}

func (s *spending) tokens() int64 { return s.total.InputTokens + s.total.OutputTokens }

// cost returns what was spent in US dollars, of models that have a price.
func (s *spending) cost(p Prices) (usd float64) {
	if p == nil {
		return 0
	}
	for key, sum := range s.byModel {
		if c, known := p.Cost(key.provider, key.model, sum.Usage); known {
			usd += c
		}
	}
	return usd
}

func (s *modelSpending) usage() bctrl.Usage {
	return bctrl.Usage{Calls: s.calls, InputTokens: s.InputTokens, OutputTokens: s.OutputTokens}
}

// into writes what was spent into a result.
func (s *spending) into(total *bctrl.Usage, models *[]bctrl.ModelUsage, p Prices) {
	*total = s.total.usage()
	*models = make([]bctrl.ModelUsage, 0, len(s.byModel))
	keys := slices.SortedFunc(maps.Keys(s.byModel), func(a, b modelKey) int {
		return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.model, b.model),
			cmp.Compare(a.credential, b.credential))
	})
	for _, key := range keys {
		sum := s.byModel[key]
		u := bctrl.ModelUsage{
			Provider:          key.provider,
			Model:             key.model,
			Credential:        key.credential,
			Usage:             sum.usage(),
			CachedInputTokens: sum.CachedInputTokens,
		}
		if p != nil {
			if c, known := p.Cost(key.provider, key.model, sum.Usage); known {
				u.Cost = &c
			}
		}
		*models = append(*models, u)
	}
}

// ask asks a model within what the budget leaves, and counts what it took. Its error is
// a [*limitError] where the budget leaves too little for the question.
func (r *run) ask(ctx context.Context, chat model.Chat, req model.Request) (*model.Response, error) {
	size := requestTokens(req)
	var asked, answering modelKey
	if r.set.budget.MaxCost > 0 {
		var known bool
		if asked, answering, known = r.answering(ctx, chat, req.Model); known {
			if err := r.checkPrice(answering); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if req.MaxTokens, err = r.affordable(answering, size); err != nil {
		return nil, err
	}
	answer, err := chat.Complete(ctx, req)
	if err != nil {
		return nil, err
	}
	key := modelKey{answer.Provider, answer.Model, answer.Credential}
	r.spent.add(key, counted(answer, size))
	r.spent.answered(chat, lastAnswer{asked, key})
	if err := r.checkPrice(key); err != nil {
		return nil, err
	}
	return answer, nil
}

// answering is who would be asked now, and who answers then, as far as that is known before
// a question is put: who has answered last, as long as the same one is asked.
func (r *run) answering(ctx context.Context, chat model.Chat, name string) (asked, answers modelKey, known bool) {
	asked.provider, asked.model, known = model.NameOf(ctx, chat, name)
	if last, ok := r.spent.last[chat]; ok && last.asked == asked {
		return asked, last.answered, true
	}
	return asked, asked, known
}

// checkPrice refuses a model without a price where there is a cost to keep.
func (r *run) checkPrice(key modelKey) error {
	if r.set.budget.MaxCost == 0 {
		return nil
	}
	if _, known := r.price(key, model.Usage{}); known {
		return nil
	}
	e := invalid("agent.unknown_price", "maxCostUsd", "the server's price table does not have this model")
	e.Hint = "leave out maxCostUsd, choose another model, or have the operator add its price"
	return e
}

func (r *run) price(key modelKey, u model.Usage) (float64, bool) {
	if r.deps.Prices == nil {
		return 0, false
	}
	return r.deps.Prices.Cost(key.provider, key.model, u)
}

// affordable returns how long an answer to a question of size tokens may be, or that
// the budget is at its end. Whom it is put to may be unknown, and then costs nothing.
func (r *run) affordable(asked modelKey, size int64) (maxTokens int, err error) {
	answer := int64(maxAnswer)
	if most := r.set.budget.MaxTokens; most > 0 {
		answer = min(answer, most-r.spent.tokens()-size)
		if answer < minAnswer {
			return 0, &limitError{bctrl.LimitTokens,
				fmt.Sprintf("the task was stopped: what is left of %d tokens is too little for the next question", most)}
		}
	}
	if most := r.set.budget.MaxCost; most > 0 {
		spent := r.spent.cost(r.deps.Prices)
		if next, known := r.price(asked, model.Usage{InputTokens: size, OutputTokens: minAnswer}); known {
			spent += next
		}
		if spent > most {
			return 0, &limitError{bctrl.LimitCost,
				fmt.Sprintf("the task was stopped: what is left of $%g is too little for the next question", most)}
		}
	}
	if answer == maxAnswer {
		return 0, nil // the chat's own bound
	}
	return int(answer), nil
}

// counted returns what an answer took, as the provider counts it, and as we do where it
// does not.
func counted(answer *model.Response, size int64) model.Usage {
	u := answer.Usage
	if u.InputTokens <= 0 {
		u.InputTokens = size
	}
	if u.OutputTokens <= 0 {
		n := len(answer.Text)
		for _, c := range answer.Calls {
			n += len(c.Name) + len(c.Arguments)
		}
		u.OutputTokens = int64(n/bytesPerToken) + 1
	}
	u.InputTokens, u.OutputTokens = min(u.InputTokens, maxCounted), min(u.OutputTokens, maxCounted)
	u.CachedInputTokens = max(0, min(u.CachedInputTokens, u.InputTokens))
	return u
}

// requestTokens is about how many tokens a question has.
func requestTokens(req model.Request) int64 {
	n := len(req.System)
	for _, m := range req.Messages {
		n += len(m.Text) + len(m.Opaque) + len(m.Images)*imageTokens*bytesPerToken
		for _, c := range m.Calls {
			n += len(c.Name) + len(c.Arguments)
		}
	}
	for _, t := range req.Tools {
		n += len(t.Name) + len(t.Description) + len(t.Parameters)
	}
	return int64(n / bytesPerToken)
}
