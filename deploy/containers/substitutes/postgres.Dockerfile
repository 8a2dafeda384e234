FROM substitute-debian:2
# The server listens on all addresses, as that of the real image does.
RUN install -d -m 3777 /run/postgresql && chown -R postgres:postgres /var/lib/postgresql /run/postgresql \
    && sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" /usr/share/postgresql/15/postgresql.conf.sample \
    && grep -q "^listen_addresses = '\*'" /usr/share/postgresql/15/postgresql.conf.sample \
    && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data && mkdir /docker-entrypoint-initdb.d
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
