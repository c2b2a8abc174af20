package bctrl_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/bctrl-go/bctrl"
)

func ExampleSealService_Status() {
	status, err := exampleClient().Seal.Status(context.Background())
	fmt.Println(status.Locked, status.Source, err)
	// Output: false file <nil>
}

func ExampleSealService_Lock() {
	status, err := exampleClient().Seal.Lock(context.Background())
	fmt.Println(status.Locked, err)
	// Output: true <nil>
}

func ExampleSealService_Unlock() {
	status, err := exampleClient().Seal.Unlock(context.Background(), bctrl.SealKey{Passphrase: bctrl.NewSecret("correct horse battery staple")})
	if errors.Is(err, bctrl.ErrForbidden) {
		fmt.Println("the passphrase is wrong")
	}
	fmt.Println(status.Locked, err)
	// Output: false <nil>
}

func ExampleSealService_Rotate() {
	// The server has its key in a file, and makes the new one itself.
	status, err := exampleClient().Seal.Rotate(context.Background(), bctrl.SealKey{})
	fmt.Println(status.LastRotatedAt.IsZero(), err)
	// Output: false <nil>
}
