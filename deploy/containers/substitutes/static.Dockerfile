FROM substitute-debian:2 AS debian
RUN mkdir -m 1777 /out-tmp && install -d -o 65532 -g 65532 -m 700 /out-home
FROM scratch
COPY --from=debian /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=debian /usr/share/zoneinfo /usr/share/zoneinfo
COPY --from=debian /out-tmp /tmp
COPY --from=debian /out-home /home/nonroot
COPY static.passwd /etc/passwd
COPY static.group /etc/group
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532
WORKDIR /home/nonroot
