package testkit

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// JWT signs claims, with a method and its key. auth.MintJWT signs what a host
// application would; this signs anything.
func JWT(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
