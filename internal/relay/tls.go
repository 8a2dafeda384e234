package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// tls returns nil without an error if there are no certificates. Any holder of a
// certificate that the CA signed is a node, at any address: addresses change.
func (c Link) tls() (*tls.Config, error) {
	if c.TLSCertFile == "" && c.TLSCAFile == "" {
		return nil, nil //nolint:nilnil // no certificates are not an error
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
		if err != nil {
			return nil, fmt.Errorf("load the relay's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if c.TLSCAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.TLSCAFile)
	if err != nil {
		return nil, fmt.Errorf("read the relay's certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the relay's certificate authority: no certificate in %s", c.TLSCAFile)
	}
	config.RootCAs, config.ClientCAs = pool, pool
	config.ClientAuth = tls.RequireAndVerifyClientCert
	if len(c.URL) == 0 {
		config.InsecureSkipVerify = true //nolint:gosec // VerifyConnection verifies the chain, without the name
		config.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(pool, s) }
	}
	return config, nil
}

// verifyChain returns an error unless the peer's certificate was signed by a CA in roots.
func verifyChain(roots *x509.CertPool, s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the node has no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}
