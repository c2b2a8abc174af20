package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// Where requests are served in a cluster. A runtime lives on the node that launched it, and
// what opens it, connect URLs and views, in that node's memory. What finds them looks up rows
// before anything is permitted: it tells nobody, and the node that it finds decides.

// atRuntime is where the runtime is that the path names, or was when it ended.
func (s *Service) atRuntime() web.Where {
	return web.OnNode(func(ctx context.Context, rq *web.Request) (cluster.Node, error) {
		return s.nodeOfAlias(ctx, rq, rq.PathValue("id"), rq.PathValue("alias"))
	})
}

// atRuntimeInBody is where the runtime is that the body names, in the workspace that the
// path or the body names.
func (s *Service) atRuntimeInBody() web.Where {
	return web.OnNode(func(ctx context.Context, rq *web.Request) (n cluster.Node, err error) {
		body, err := rq.Peek()
		if err != nil {
			return n, err
		}
		var in struct{ WorkspaceID, Runtime string }
		if json.Unmarshal(body, &in) != nil {
			return n, nil //nolint:nilerr // which whoever decodes it says
		}
		if !strings.HasPrefix(rq.Route.Path, "/v1/workspaces/{id}/") {
			return s.nodeOfAlias(ctx, rq, in.WorkspaceID, in.Runtime)
		}
		return s.nodeOfAlias(ctx, rq, rq.PathValue("id"), in.Runtime)
	})
}

// atOperation is where the operation runs that the path names.
func (s *Service) atOperation() web.Where {
	return web.OnNode(func(ctx context.Context, rq *web.Request) (n cluster.Node, err error) {
		id := rq.PathValue("id")
		if web.ValidUUID(id) != nil {
			return n, nil //nolint:nilerr // the handler says so, once it has decided
		}
		op, err := s.DB.Read().Operation(ctx, rq.Caller.Org, id)
		if err != nil || op.Status.Final() {
			return n, nil //nolint:nilerr // the handler meets it too, once it has decided
		}
		return s.nodeOfRuntime(ctx, rq.Caller.Org, op.RuntimeID, true)
	})
}

// nodeOfAlias finds the node of the runtime with an alias. It looks for no other than its
// own for a caller that acts as a runtime.
func (s *Service) nodeOfAlias(
	ctx context.Context, rq *web.Request, workspace, alias string,
) (n cluster.Node, err error) {
	if web.ValidUUID(workspace) != nil || names.Name(alias) != nil {
		return n, nil //nolint:nilerr // the handler says so, once it has decided
	}
	if own := rq.Caller.Runtime; own != nil && (workspace != own.WorkspaceID || alias != own.Alias) {
		return n, nil
	}
	rt, err := s.DB.Read().RuntimeByAlias(ctx, rq.Caller.Org, workspace, alias)
	if err != nil {
		return n, nil //nolint:nilerr // the handler meets it too, once it has decided
	}
	return s.nodeOfRuntime(ctx, rq.Caller.Org, rt.ID, rt.Live)
}

// nodeOfRuntime finds the node of a runtime. One that lives on no node that does is on record
// as ended within seconds.
func (s *Service) nodeOfRuntime(ctx context.Context, org, id string, live bool) (n cluster.Node, err error) {
	if _, here := s.fleet.find(id); here {
		return n, nil
	}
	n, err = s.Cluster.NodeOf(ctx, org, id)
	if errors.Is(err, cluster.ErrNotFound) && live {
		err = web.ErrNodeLost
	}
	return n, err
}

// atToken is the node that has made the token in the path, which says so itself.
func (s *Service) atToken() web.Where {
	return web.OnNode(func(ctx context.Context, rq *web.Request) (none cluster.Node, err error) {
		text, _, ok := strings.Cut(rq.PathValue("token"), ".")
		number, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil {
			return none, nil //nolint:nilerr // it opens nothing, which the handler says
		}
		nodes, err := s.Cluster.Nodes(ctx)
		if err != nil {
			return none, err
		}
		at := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.Number == number })
		if at < 0 {
			return none, nil // what it opened has ended with its node
		}
		return nodes[at], nil
	})
}

// tokenMark begins the tokens that this node makes for a path: in a cluster with its number,
// by which the others find it.
func (s *Service) tokenMark() string {
	if s.Cluster.Alone() {
		return ""
	}
	return strconv.FormatInt(s.Cluster.Self().Number, 10) + "."
}

// forLaunch is the node that launches a runtime: the one that has the data of its profile,
// else the one with the most room.
func (s *Service) forLaunch() web.Where {
	return web.OnNode(func(ctx context.Context, rq *web.Request) (n cluster.Node, err error) {
		body, err := rq.Peek()
		if err != nil {
			return n, err
		}
		var in struct {
			Launch struct{ Mode, ProfileID string }
		}
		if json.Unmarshal(body, &in) != nil {
			return n, nil //nolint:nilerr // which whoever decodes it says
		}
		nodes, err := s.Cluster.Nodes(ctx)
		if err != nil {
			return n, err
		}
		if in.Launch.Mode == string(bctrl.ModeProfile) {
			at, err := s.profiles.NodeOf(ctx, rq.Caller.Org, in.Launch.ProfileID, nodes)
			if at.ID != "" || err != nil {
				return at, err
			}
		}
		here := s.Cluster.Self()
		var queued int
		here.Runtimes, queued = s.Load()
		here.Room = s.Room()
		return s.placements.arriving(nodes, here, queued, time.Now()), nil
	})
}
