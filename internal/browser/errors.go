package browser

import "github.com/bctrl-go/bctrl"

// refuse is an error that the caller of a page can act on.
func refuse(status int, code, message, hint string) *bctrl.Error {
	return &bctrl.Error{Status: status, Code: code, Message: message, Hint: hint}
}
