package runtimes

import (
	"context"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// maxScanned bounds how many operations one page looks at for those that it is about.
const maxScanned = 5000

// operationFilter is what a list of operations is about.
type operationFilter struct {
	store.OperationRange
	status bctrl.OperationStatus
	call   bctrl.Call
}

// readOperationFilter reads a list's parameters. A runtime caller's list is of its own.
func readOperationFilter(rq *web.Request) (f operationFilter, err error) {
	f.Org = rq.Caller.Org
	f.Workspace, f.Runtime = rq.Query.Get("workspaceId"), rq.Query.Get("runtimeId")
	f.status, f.call = bctrl.OperationStatus(rq.Query.Get("status")), bctrl.Call(rq.Query.Get("call"))
	for _, id := range []struct{ name, value string }{{"workspaceId", f.Workspace}, {"runtimeId", f.Runtime}} {
		if id.value != "" && web.ValidUUID(id.value) != nil {
			return f, web.Invalid("request.parameter", id.name, id.name+" must be a uuid")
		}
	}
	if f.status != "" && !f.status.Final() && !slices.Contains(unfinished, f.status) {
		return f, web.Invalid("operations.unknown_status", "status", "there is no such status of an operation")
	}
	if _, known := defaultTimeouts()[f.call]; f.call != "" && !known {
		return f, errUnknownCall("call")
	}
	if own := rq.Caller.Runtime; own != nil && f.Runtime == "" {
		f.Runtime = own.ID
	}
	return f, nil
}

// unfinished are the statuses of operations that have not ended.
var unfinished = []bctrl.OperationStatus{
	bctrl.OperationQueued, bctrl.OperationRunning, bctrl.OperationCancelling,
}

// listOperations lists operations, the newest first. Status and call are in the body of
// a row, which its proof covers, and are looked at one by one: a page that has looked at
// enough ends, however few it found, and says where to go on.
func (s *Service) listOperations(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[bctrl.OperationInfo], err error) {
	limit, before, err := rq.Page()
	if err != nil {
		return list, err
	}
	f, err := readOperationFilter(rq)
	if err != nil {
		return list, err
	}
	if err := rq.Authorize(f.Runtime); err != nil {
		return list, err
	}
	list.Plural = wire.Operations
	var found []bctrl.OperationInfo
	f.Before, f.Limit = before, max(limit+1, 100)
	for scanned := 0; len(found) <= limit; {
		rows, err := s.DB.Read().Operations(ctx, f.OperationRange)
		if err != nil {
			return list, err
		}
		for _, row := range rows {
			if row = s.newestOf(row); f.selects(row) {
				found = append(found, row)
			}
		}
		if len(rows) < f.Limit {
			break
		}
		f.Before = rows[len(rows)-1].ID
		if scanned += len(rows); scanned >= maxScanned && len(found) <= limit {
			list.NextCursor = web.CursorOf(f.Before)
			break
		}
	}
	if len(found) > limit {
		found, list.NextCursor = web.PageOf(found, limit, func(o bctrl.OperationInfo) string { return o.ID })
	}
	list.Items = found
	return list, nil
}

func (f operationFilter) selects(o bctrl.OperationInfo) bool {
	return (f.status == "" || o.Status == f.status) && (f.call == "" || slices.Contains(o.Calls, f.call))
}

// newestOf is an operation as this process knows it, where it still runs.
func (s *Service) newestOf(row bctrl.OperationInfo) bctrl.OperationInfo {
	s.operations.mu.Lock()
	op := s.operations.open[row.ID]
	s.operations.mu.Unlock()
	if op == nil {
		return row
	}
	return op.snapshot()
}
