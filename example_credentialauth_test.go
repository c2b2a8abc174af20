package bctrl_test

import (
	"encoding/json"
	"fmt"

	"github.com/bctrl-go/bctrl"
)

// A strategy is data: it names the fields of the credential that holds the
// secrets.
func ExampleCredentialAuth() {
	auth := bctrl.CredentialAuth{Type: bctrl.AuthQuery, Query: map[string]string{"key": "{apiKey}", "token": "{token}"}}
	text, err := json.Marshal(auth)
	fmt.Println(string(text), err)
	// Output: {"type":"query","query":{"key":"{apiKey}","token":"{token}"}} <nil>
}

func ExampleCredentialAuth_Validate() {
	auth := bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{"Host": "{apiKey}"}}
	fmt.Println(auth.Validate())
	// Output: bctrl: credentials.invalid_auth: the auth strategy is malformed field auth.headers.Host (this header is not for a strategy to set)
}

func ExampleCredentialAuth_Fields() {
	auth := bctrl.CredentialAuth{
		Type:    bctrl.AuthHeader,
		Headers: map[string]string{"Authorization": "Bearer {apiKey}", "OpenAI-Organization": "{organization?}"},
	}
	required, optional := auth.Fields()
	fmt.Println(required, optional)
	// Output: [apiKey] [organization]
}
