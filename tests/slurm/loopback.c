// Loaded into Slurm's daemons by cluster.sh: what would listen on every interface listens on loopback alone. Slurm's own setting for this
// (NoInAddrAny) binds to what the machine's name resolves to, which is not always loopback and not always anything.
#define _GNU_SOURCE
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int bind(int fd, const struct sockaddr *address, socklen_t size) {
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  if (address->sa_family == AF_INET && size >= sizeof v4) {
    memcpy(&v4, address, sizeof v4);
    if (v4.sin_addr.s_addr == htonl(INADDR_ANY)) v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return (int)syscall(SYS_bind, fd, &v4, sizeof v4);
  }
  if (address->sa_family == AF_INET6 && size >= sizeof v6) {
    memcpy(&v6, address, sizeof v6);
    if (memcmp(&v6.sin6_addr, &in6addr_any, sizeof v6.sin6_addr) == 0) v6.sin6_addr = in6addr_loopback;
    return (int)syscall(SYS_bind, fd, &v6, sizeof v6);
  }
  return (int)syscall(SYS_bind, fd, address, size);
}
