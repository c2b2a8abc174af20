package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
)

// objectHeader describes a file in answers whose body is the file or nothing:
// base64url (RFC 4648 §5, unpadded) of its JSON, since names hold any letter.
const objectHeader = "Bctrl-Object"

// EncodeObject puts the description of a file, a bctrl.StorageObject, into the
// header of an answer to GET or HEAD.
func EncodeObject[O any](h http.Header, object O) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	h.Set(objectHeader, base64.RawURLEncoding.EncodeToString(text))
	return nil
}

// DecodeObject reads what [EncodeObject] wrote. It fails when there is none.
func DecodeObject[O any](h http.Header, object *O) error {
	value := h.Get(objectHeader)
	if value == "" {
		return errors.New("no description of the file")
	}
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, object)
}
