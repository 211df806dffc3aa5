"""Operations that keep the promises container-toolkit.*."""
