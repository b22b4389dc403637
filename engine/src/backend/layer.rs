//! Backends that wrap another one: whatever they do not change is asked of the one inside.

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::BackendFuture;
use crate::backend::Leftovers;
use crate::backend::Listed;
use crate::backend::Name;
use crate::backend::Payload;
use bytes::Bytes;
use std::path::PathBuf;

/// A backend around another: every layer is a [`Backend`]. Each method is that of the backend inside until it is
/// overridden, those of later releases as well, so that a layer that changes one thing loses no other.
pub trait Layer: Send + Sync + 'static {
    /// The backend inside.
    fn inner(&self) -> &dyn Backend;

    /// See [`Backend::put`].
    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        self.inner().put(name, body)
    }

    /// See [`Backend::get`].
    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        self.inner().get(name)
    }

    /// See [`Backend::get_range`].
    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        self.inner().get_range(name, offset, length)
    }

    /// See [`Backend::stat`].
    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        self.inner().stat(name)
    }

    /// See [`Backend::list`].
    fn list<'a>(&'a self, area: Area) -> BackendFuture<'a, Vec<Listed>> {
        self.inner().list(area)
    }

    /// See [`Backend::delete`].
    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        self.inner().delete(name)
    }

    /// See [`Backend::barrier`].
    fn barrier(&self) -> BackendFuture<'_, ()> {
        self.inner().barrier()
    }

    /// See [`Backend::adopt`].
    fn adopt<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        self.inner().adopt(name)
    }

    /// See [`Backend::barrier_for`].
    fn barrier_for(&self, area: Area) -> BackendFuture<'_, ()> {
        self.inner().barrier_for(area)
    }

    /// See [`Backend::describe`].
    fn describe(&self) -> String {
        self.inner().describe()
    }

    /// See [`Backend::prepare`].
    fn prepare(&self) -> BackendFuture<'_, ()> {
        self.inner().prepare()
    }

    /// See [`Backend::check_writable`].
    fn check_writable(&self) -> BackendFuture<'_, ()> {
        self.inner().check_writable()
    }

    /// See [`Backend::check_deletable`].
    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        self.inner().check_deletable()
    }

    /// See [`Backend::recognise`].
    fn recognise(&self) -> BackendFuture<'_, Option<String>> {
        self.inner().recognise()
    }

    /// See [`Backend::is_local`].
    fn is_local(&self) -> bool {
        self.inner().is_local()
    }

    /// See [`Backend::folder`].
    fn folder(&self) -> Option<PathBuf> {
        self.inner().folder()
    }

    /// See [`Backend::lists_at_once`].
    fn lists_at_once(&self) -> bool {
        self.inner().lists_at_once()
    }

    /// See [`Backend::reserve`].
    fn reserve(&self, stored: u64) -> BackendFuture<'_, bool> {
        self.inner().reserve(stored)
    }

    /// See [`Backend::spend_reserve`].
    fn spend_reserve(&self) -> BackendFuture<'_, bool> {
        self.inner().spend_reserve()
    }

    /// See [`Backend::leftovers`].
    fn leftovers(&self) -> BackendFuture<'_, Leftovers> {
        self.inner().leftovers()
    }

    /// See [`Backend::sweep`].
    fn sweep(&self) -> BackendFuture<'_, Leftovers> {
        self.inner().sweep()
    }
}

impl<L: Layer> Backend for L {
    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Layer::put(self, name, body)
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Layer::get(self, name)
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Layer::get_range(self, name, offset, length)
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        Layer::stat(self, name)
    }

    fn list<'a>(&'a self, area: Area) -> BackendFuture<'a, Vec<Listed>> {
        Layer::list(self, area)
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Layer::delete(self, name)
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        Layer::barrier(self)
    }

    fn adopt<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Layer::adopt(self, name)
    }

    fn barrier_for(&self, area: Area) -> BackendFuture<'_, ()> {
        Layer::barrier_for(self, area)
    }

    fn describe(&self) -> String {
        Layer::describe(self)
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        Layer::prepare(self)
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        Layer::check_writable(self)
    }

    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        Layer::check_deletable(self)
    }

    fn recognise(&self) -> BackendFuture<'_, Option<String>> {
        Layer::recognise(self)
    }

    fn is_local(&self) -> bool {
        Layer::is_local(self)
    }

    fn folder(&self) -> Option<PathBuf> {
        Layer::folder(self)
    }

    fn lists_at_once(&self) -> bool {
        Layer::lists_at_once(self)
    }

    fn reserve(&self, stored: u64) -> BackendFuture<'_, bool> {
        Layer::reserve(self, stored)
    }

    fn spend_reserve(&self) -> BackendFuture<'_, bool> {
        Layer::spend_reserve(self)
    }

    fn leftovers(&self) -> BackendFuture<'_, Leftovers> {
        Layer::leftovers(self)
    }

    fn sweep(&self) -> BackendFuture<'_, Leftovers> {
        Layer::sweep(self)
    }
}
