/* getaddrinfo of the C library that this is linked with, for `musl-gcc -static`: prints addresses, or the error. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
    int error = argc > 1 ? getaddrinfo(argv[1], 0, &hints, &found) : EAI_NONAME;
    if (error) {
        printf("%s\n", gai_strerror(error));
        return 2;
    }
    for (; found; found = found->ai_next) {
        char text[INET6_ADDRSTRLEN];
        void *address = found->ai_family == AF_INET
            ? (void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr
            : (void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr;
        printf("%s\n", inet_ntop(found->ai_family, address, text, sizeof text));
    }
    return 0;
}
