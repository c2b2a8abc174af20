package agent

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// guard stands between a task and its model and takes filled values out of whatever is
// sent, should anything before it have let one through. It sends no pictures, because
// it cannot look for values in them.
type guard struct {
	next    model.Chat
	secrets *scrub.Set
}

// Complete implements [model.Chat].
func (g guard) Complete(ctx context.Context, req model.Request) (*model.Response, error) {
	clean := make([]model.Message, len(req.Messages))
	for i, m := range req.Messages {
		m.Images = nil
		m.Text = g.secrets.String(m.Text)
		// Opaque data cannot be changed, only left out.
		if g.secrets.Holds(m.Opaque) {
			m.Opaque = nil
		}
		calls := make([]model.ToolCall, len(m.Calls))
		for j, c := range m.Calls {
			c.ID = g.secrets.String(c.ID)
			if c.Arguments = g.secrets.String(c.Arguments); !isObject(c.Arguments) {
				c.Arguments = "{}"
			}
			calls[j] = c
		}
		m.Calls, m.CallID = calls, g.secrets.String(m.CallID)
		clean[i] = m
	}
	req.Messages = clean
	return g.next.Complete(ctx, req)
}

// Sees implements [model.Viewer].
func (g guard) Sees(ctx context.Context, name string) bool { return model.Sees(ctx, g.next, name) }
