package bctrl

import (
	"encoding/json"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// MarshalJSON writes the error as the server's API does: error, code,
// reasonClass, requestId, hint and details.problems.
func (e *Error) MarshalJSON() ([]byte, error) {
	w := wire.Error[Problem]{
		Error: wire.ErrorText(e.Message), Code: e.Code, ReasonClass: wire.ReasonClass(e.Status), RequestID: e.RequestID, Hint: e.Hint,
	}
	w.Details.Problems = e.problems()
	return json.Marshal(w)
}

// UnmarshalJSON reads what [Error.MarshalJSON] writes, and what the server
// writes in its place to the SDKs of providers. The first problem sets
// Field and Witness. Status becomes the one that stands for the reasonClass:
// an error inside an answer has no status of its own.
func (e *Error) UnmarshalJSON(data []byte) error {
	var w wire.Error[Problem]
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*e = Error{
		Status: wire.StatusOf(w.ReasonClass), Code: w.Code, Message: string(w.Error), Hint: w.Hint, RequestID: w.RequestID,
		Problems: w.Details.Problems,
	}
	if len(e.Problems) > 0 {
		e.Field, e.Witness = e.Problems[0].Field, e.Problems[0].Witness
	}
	e.Retryable = retryable(e.Status, e.Code)
	return nil
}
