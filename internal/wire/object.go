package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
)

// EncodeObject puts the description of a file, a bctrl.StorageObject, into the
// header of an answer to GET or HEAD: as base64url (RFC 4648 §5, unpadded) of
// its JSON, since names hold any letter.
func EncodeObject[O any](h http.Header, object O) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	h.Set(HeaderObject, base64.RawURLEncoding.EncodeToString(text))
	return nil
}

// DecodeObject reads what [EncodeObject] wrote. It fails when there is none.
func DecodeObject[O any](h http.Header, object *O) error {
	value := h.Get(HeaderObject)
	if value == "" {
		return errors.New("no description of the file")
	}
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, object)
}
