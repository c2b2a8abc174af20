package calls

import (
	"context"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// providerAnswer is what a call came to: a provider's answer on its way, which
// ends once.
type providerAnswer struct {
	*http.Response
	call *intendedCall
	// intended is set where the log has the intent.
	intended bool
	ctx      context.Context //nolint:containedctx // it bounds the body that is read
	begun    time.Time
	idle     *time.Timer
	// received counts what of the body was passed on.
	received int64
	// record writes the outcome.
	record func(audit.End)
	cancel context.CancelCauseFunc
	// release lets go of the context, and of the connection with it.
	release func()
}

// idleBound is how long a provider may send nothing, once it has begun to
// answer.
const idleBound = 5 * time.Minute

// Read reads the body.
func (a *providerAnswer) Read(p []byte) (int, error) {
	n, err := a.Body.Read(p)
	a.received += int64(n)
	a.idle.Reset(idleBound)
	return n, err
}

// end ends the call and records how: nil is well. It returns the error as a
// caller may see it.
func (a *providerAnswer) end(err error) error {
	err = callFailure(a.ctx, a.call.body, err)
	outcome := audit.End{
		Outcome:       audit.OK,
		ResponseBytes: a.received,
		Took:          time.Since(a.begun),
	}
	if err != nil {
		outcome.Outcome = web.AsError(err).Code
	}
	if a.call.body != nil {
		outcome.RequestBytes = a.call.body.sent.Load()
	}
	if a.Response != nil {
		outcome.Status = a.StatusCode
		_ = a.Body.Close() // it was read, or is to be read no further
		a.idle.Stop()
	}
	a.close()
	a.record(outcome)
	return err
}

// close lets go of what the call holds.
func (a *providerAnswer) close() {
	a.release()
	a.call.unwatch()
}
