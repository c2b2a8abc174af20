package agent

import (
	"context"
	"crypto/sha256"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// guard stands between a task and its model and takes filled values out of whatever is
// sent, should anything before it have let one through. It cannot look for values in
// pictures, so it sends only those that the browser has made with them masked.
type guard struct {
	next     model.Chat
	secrets  *scrub.Set
	pictures pictures
}

// Complete implements [model.Chat].
func (g guard) Complete(ctx context.Context, req model.Request) (*model.Response, error) {
	clean := make([]model.Message, len(req.Messages))
	for i, m := range req.Messages {
		m.Images = slices.DeleteFunc(slices.Clone(m.Images), func(png []byte) bool { return !g.pictures[sha256.Sum256(png)] })
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

// Names implements [model.Namer].
func (g guard) Names(ctx context.Context, name string) (bctrl.AIProvider, string, bool) {
	return model.NameOf(ctx, g.next, name)
}

// Sees implements [model.Viewer].
func (g guard) Sees(ctx context.Context, name string) bool { return model.Sees(ctx, g.next, name) }
