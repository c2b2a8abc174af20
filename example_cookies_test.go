package bctrl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bctrl-go/bctrl"
)

// A person has logged in by a live view: what is launched with a clone of the profile is
// logged in too, while the first runtime goes on.
func ExampleRuntime_SaveProfile() {
	saved, err := exampleRuntime().SaveProfile(context.Background())
	fmt.Println(saved.ProfileID, saved.Cookies, err)
	// Output: sf-bot 12 <nil>
}

func ExampleProfileSaved() {
	saved, err := exampleRuntime().SaveProfile(context.Background())
	if err != nil {
		return
	}
	fmt.Printf("%d cookies, %d bytes, %s", saved.Cookies, saved.SizeBytes, saved.SavedAt.Format(time.TimeOnly))
	// Output: 12 cookies, 51200 bytes, 03:04:05
}

func ExampleBrowserProfilesService_ExportCookies() {
	passphrase := bctrl.NewSecret(os.Getenv("COOKIES_PASSPHRASE"))
	export, err := exampleClient().Profiles.ExportCookies(context.Background(), "sf-bot", passphrase)
	if err != nil {
		return
	}
	// What is written opens by the passphrase alone.
	dir, err := os.MkdirTemp("", "bundles")
	if err != nil {
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Println(export.Cookies, os.WriteFile(filepath.Join(dir, "sf-bot.cookies"), export.Bundle, 0o600))
	// Output: 12 <nil>
}

func ExampleCookieExport() {
	export, err := exampleClient().Profiles.ExportCookies(context.Background(), "sf-bot",
		bctrl.NewSecret("correct horse battery"))
	fmt.Println(export.ProfileID, export.Cookies, err)
	// Output: sf-bot 12 <nil>
}

// A login moves to another server: its bundle was exported there.
func ExampleBrowserProfilesService_ImportCookies() {
	client, bundle := exampleClient(), []byte("…")
	done, err := client.Profiles.ImportCookies(context.Background(), "sf-bot", bctrl.CookieImport{
		Bundle:     bundle,
		Passphrase: bctrl.NewSecret("correct horse battery"),
		Replace:    true,
	})
	fmt.Println(done.Imported, err)
	// Output: 1 <nil>
}

func ExampleCookieImport() {
	in := bctrl.CookieImport{Cookies: []bctrl.Cookie{{
		Name:     "sid",
		Value:    bctrl.NewSecret("proof of a login"),
		Domain:   "app.example.com",
		Secure:   true,
		HTTPOnly: true,
		SameSite: bctrl.SameSiteLax,
		Expires:  time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}}}
	done, err := exampleClient().Profiles.ImportCookies(context.Background(), "sf-bot", in)
	fmt.Println(done.Cookies, err)
	// Output: 13 <nil>
}

func ExampleCookieImport_Validate() {
	err := bctrl.CookieImport{Cookies: []bctrl.Cookie{
		{Name: "sid", Value: bctrl.NewSecret("proof"), Domain: "https://example.com"},
	}}.Validate()
	refusal, _ := errors.AsType[*bctrl.Error](err)
	fmt.Println(refusal.Code, refusal.Field)
	// Output: profiles.invalid_cookie_domain cookies[0].domain
}

func ExampleCookiesImported() {
	done := bctrl.CookiesImported{Imported: 11, Expired: 1, Cookies: 11}
	fmt.Printf("%d of %d", done.Imported, done.Imported+done.Expired)
	// Output: 11 of 12
}

func ExampleParseCookies() {
	cookies, err := bctrl.ParseCookies(bctrl.NewSecret(
		`[{"name":"sid","value":"proof","domain":".example.com","path":"/","expires":-1,"httpOnly":true,"secure":true}]`))
	fmt.Println(len(cookies), cookies[0].Domain, cookies[0].Value, cookies[0].Expires.IsZero(), err)
	// Output: 1 .example.com [secret] true <nil>
}

func ExampleCookie() {
	c := bctrl.Cookie{Name: "sid", Value: bctrl.NewSecret("proof of a login"), Domain: ".example.com"}
	fmt.Println(c.Name, c.Value)
	// Output: sid [secret]
}

func ExampleCookieSameSite() {
	fmt.Println(bctrl.SameSiteStrict, bctrl.SameSiteLax, bctrl.SameSiteNone)
	// Output: Strict Lax None
}

func ExampleCookiePartition() {
	c := bctrl.Cookie{
		Name:      "__Host-embedded",
		Value:     bctrl.NewSecret("proof"),
		Domain:    "chat.example.org",
		Secure:    true,
		Partition: &bctrl.CookiePartition{TopLevelSite: "https://example.com"},
	}
	fmt.Println(c.Partition.TopLevelSite, bctrl.CookieImport{Cookies: []bctrl.Cookie{c}}.Validate())
	// Output: https://example.com <nil>
}
