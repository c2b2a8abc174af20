package calls

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// providerAnswer is what a request to a provider came to: an answer on its way,
// which ends once, or with an error none.
type providerAnswer struct {
	*http.Response
	// call is nil where the request was refused before the log had its intent.
	call *intendedCall
	// description is what the log says of the request, also where it was refused.
	description callDescription
	ctx         context.Context //nolint:containedctx // it bounds the body that is read
	begun       time.Time
	// clock ends the call once its time is over, and idle where the provider sends nothing
	// for idleBound; that is nil where nothing of the answer is to come.
	clock, idle *time.Timer
	// received counts the bytes of the body that were passed on.
	received int64
	// record writes the outcome.
	record func(audit.End)
	// cancel ends the context, and lets go of the connection with it.
	cancel context.CancelCauseFunc
	// stayOnStop has the call go on when the server stops.
	stayOnStop func() bool
	// dropCondition takes out of the grant the condition that the call adds to it.
	dropCondition func()
}

// isOnRecord reports whether the log has the intent, and so will have the outcome.
func (a *providerAnswer) isOnRecord() bool { return a.call != nil }

// idleBound is how long a provider may send nothing, once it has begun to
// answer.
const idleBound = 5 * time.Minute

// Read reads the body.
func (a *providerAnswer) Read(p []byte) (int, error) {
	n, err := a.Body.Read(p)
	a.received += int64(n)
	if a.idle != nil {
		a.idle.Reset(idleBound)
	}
	return n, err
}

// readWhole reads the body to its end.
func (a *providerAnswer) readWhole() ([]byte, error) {
	if text, read := broker.Whole(a.Response); read {
		a.received = int64(len(text))
		return text, nil
	}
	return io.ReadAll(a)
}

// end ends the call and records its outcome: err, or nil where all went well. It
// returns the error as a caller may see it.
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
	}
	a.close()
	a.record(outcome)
	return err
}

// close lets go of what the call holds.
func (a *providerAnswer) close() {
	a.clock.Stop()
	if a.idle != nil {
		a.idle.Stop()
	}
	a.stayOnStop()
	a.cancel(nil)
	a.dropCondition()
}
