package bctrl

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// Subaccount is an organization inside the caller's. Neither sees what the
// other holds; see [Client.ForSubaccount].
type Subaccount struct {
	ID string `json:"id"`
	// Name is unique among the organization's subaccounts.
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

// SubaccountCreate is a new subaccount.
type SubaccountCreate struct {
	// Name matches ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$.
	Name string
}

// SubaccountsService manages the subaccounts of an organization. See
// [Client.Subaccounts].
type SubaccountsService struct{ via via }

const (
	pathSubaccounts = "/v1/subaccounts"
	pathSubaccount  = "/v1/subaccounts/{id}"
)

// ForSubaccount returns a client that acts for a subaccount of the
// organization: everything it does is done in there. It sends nothing, and
// shares the connections of c. An id that is none is refused by the first
// call; one that names no subaccount of the organization is [ErrForbidden],
// whether or not it exists. Runtime tokens act for no subaccount.
func (c *Client) ForSubaccount(id string) *Client {
	t := *c.via()
	t.subaccount = []string{id}
	return newClient(&t)
}

// checkSubaccount refuses an id that cannot name a subaccount: an empty one
// must not act for the organization itself.
func (t *transport) checkSubaccount() error {
	if t.subaccount == nil || names.UUID(t.subaccount[0]) == nil {
		return nil
	}
	return refusal(http.StatusBadRequest, "auth.subaccount", wire.Spelled(wire.HeaderSubaccount),
		"the id of a subaccount is a uuid")
}

// Create makes a subaccount, empty and without a key of its own. Through
// [Client.ForSubaccount] a key of the organization acts in it, and can make
// keys that belong to it alone. A name that is taken is [ErrConflict]; a
// subaccount has no subaccounts.
//
// Access: subaccount.write
func (s *SubaccountsService) Create(ctx context.Context, c SubaccountCreate, opts ...CallOption) (*Subaccount, error) {
	var out Subaccount
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathSubaccounts,
		in:     wire.SubaccountCreate{Name: c.Name},
		out:    &out,
		opts:   opts,
	}))
}

// List ranges over the subaccounts, oldest first.
//
// Access: subaccount.read
func (s *SubaccountsService) List(ctx context.Context, opts ...CallOption) iter.Seq2[Subaccount, error] {
	return s.listing().all(ctx, opts)
}

// Page fetches one page of [SubaccountsService.List].
//
// Access: subaccount.read
func (s *SubaccountsService) Page(ctx context.Context, p PageOptions, opts ...CallOption) (*Page[Subaccount], error) {
	return s.listing().page(ctx, p, opts)
}

func (s *SubaccountsService) listing() listing[Subaccount] {
	return listing[Subaccount]{via: s.via, path: pathSubaccounts, plural: wire.Subaccounts}
}

// Delete removes a subaccount with its keys. One that holds logins, AI
// credentials, workspaces, profiles or files is [ErrConflict]; with
// [WithForce] its runtimes are stopped and all of it is deleted, for good.
//
// Access: subaccount.write
func (s *SubaccountsService) Delete(ctx context.Context, id string, opts ...DeleteOption) error {
	d := deletionOf(opts)
	return s.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathSubaccount,
		params: []string{id},
		query:  d.query(),
		opts:   d.opts,
	})
}
